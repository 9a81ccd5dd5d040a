//go:build lab

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestFloodKeepsLinesOfOtherUnits: a worker that writes as fast as it can, to its streams or with the native protocol of
// the journal, does not push the lines of other units out of a small journal.
//
// An entry of systemd 247 takes 700 bytes, so 64 MiB hold only 92,000 lines, and the limit has to be lower than the default
// there. The interval is longer than the default, so that the flood of a busy machine does not reach into a second interval, in
// which the limit would begin again.
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
		// The last line has another priority, because journald limits each priority separately.
		a.tell(t, 1, `timeout 8 sh -c "yes | systemd-cat"; python3 /opt/e2e/flood.py 4; echo "<3>flooded"`)
		m.AwaitJournalFor(t, 10*time.Minute, "flooded", "CLUSTERCTL_APP=flood", "PRIORITY=3")
		t.Log(m.Try("journalctl -q -o cat _SYSTEMD_UNIT=flood@1.service | grep -c '^y$'; journalctl --disk-usage"))
		if got := m.Sh(t, "journalctl -q -o cat _SYSTEMD_UNIT=evidence.service"); !strings.Contains(got, "EVIDENCE") {
			t.Errorf("the flood of the worker has removed the line of another unit: %q", got)
		}
	})
}
