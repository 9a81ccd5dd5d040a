//go:build lab

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestFloodKeepsLinesOfOtherUnits lets a worker write as many lines as possible, to its stdout and with the native
// protocol of the journal. --log-rate must limit the lines, so that the line of another unit stays in a journal of 64
// MiB. The limit on Bullseye is lower, because the journal of systemd 247 needs 700 bytes per line, so 64 MiB hold only
// 92,000 lines. The limit applies to each interval of 10 minutes. This interval is longer than the default, so that the
// worker finishes within one interval also on a busy machine.
func TestFloodKeepsLinesOfOtherUnits(t *testing.T) {
	suite().OwnMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		m.Sh(t, `mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n' > /etc/systemd/journald.conf.d/small.conf
systemctl restart systemd-journald
systemd-run --quiet --wait --unit=evidence echo 'Accepted publickey (EVIDENCE)'`)
		m.AwaitJournal(t, "Accepted publickey (EVIDENCE)", "_SYSTEMD_UNIT=evidence.service")
		m.CopyIn(t, "testdata/flood.py", "/opt/e2e/flood.py")
		rate := "60000/10m"
		if m.Release() == lab.Bullseye {
			rate = "20000/10m"
		}
		a := installTalker(t, m, "flood", 1, "--log-rate", rate)
		// journald limits each priority separately, so the last line has another priority, at which the limit is not
		// reached.
		a.tell(t, 1, `timeout 8 sh -c "yes | systemd-cat"; python3 /opt/e2e/flood.py 4; echo "<3>flooded"`)
		m.AwaitJournalFor(t, 10*time.Minute, "flooded", "CLUSTERCTL_APP=flood", "PRIORITY=3")
		t.Log(m.Try("journalctl -q -o cat _SYSTEMD_UNIT=flood@1.service | grep -c '^y$'; journalctl --disk-usage"))
		if got := m.Sh(t, "journalctl -q -o cat _SYSTEMD_UNIT=evidence.service"); !strings.Contains(got, "EVIDENCE") {
			t.Errorf("the line EVIDENCE of another unit is no longer in the journal: %q", got)
		}
	})
}
