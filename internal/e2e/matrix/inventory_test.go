//go:build lab

package matrix

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
)

// inventory lists what a machine holds that an app could leave behind, one item per line.
type inventory []string

// inventoryScript lists processes, files in /run and in the directories that an app may write to, units, listeners, and the
// files that PID 1 has open. It omits the files and processes of systemd, the journal and this script, and also
//   - sockets of PID 1 that do not listen, because connections of systemctl and of the bus come and go;
//   - /run/systemd/units/log-extra-fields:*, which systemd leaves for every unit with LogExtraFields= (seen with a plain
//     unit on 252), and /run/private, dynamic-uid and unit-private-tmp, which systemd makes once for the first unit that
//     needs them;
//   - /tmp/namespace-dev-*, which a process of systemd makes for PrivateDevices=, and leaves behind when it is killed at
//     that moment (namespace.c, mount_private_dev);
//   - clusterctl.slice, the parent of the apps' slices, which systemd makes without a file.
const inventoryScript = `
ps -eo args= | grep -vE '^(ps -eo|grep -vE|sort|sed|sh -ec|nsenter|\(sd|\[|journalctl)|/systemd-(tmpfiles|hostnamed|executor)' |
	sed 's/^/process /' | sort
find /run /tmp /var/tmp /etc /opt /srv /var/lib/clusterctl /var/lib/private -mindepth 1 -not -path '/opt/npm/*' 2>/dev/null |
	grep -vE '^/tmp/namespace-dev-|^/run/(log|udev|lock|private$)' |
	grep -vE '^/run/systemd/(journal|dynamic-uid|sessions|users|propagate|inaccessible|unit-root|unit-private-tmp)' |
	grep -vE '^/run/systemd/units/(log-extra-fields|invocation:(systemd|dbus|user|run))' |
	sed 's/^/file /' | sort
systemctl list-units --all --plain --no-legend --full '*.service' '*.socket' '*.slice' |
	awk '{print "unit " $1}' | grep -vE ' (clusterctl\.slice|systemd-.*|user.*|session.*|dbus.*|run-.*)$' | sort
ss -H -ltnx | awk '{print "listener " $1 " " $5}' | sort
ls -l /proc/1/fd | sed -nE 's/.*-> ((\/|anon_inode:).*)/descriptor of PID 1: \1/p' | sort
`

// takeInventory makes an inventory of the machine.
func takeInventory(t testing.TB, m *kit.Machine) inventory {
	t.Helper()
	return kit.Lines(m.Sh(t, inventoryScript))
}

// wantNothingLeft fails the test when the machine differs from an earlier inventory. An item that occurs several times is
// matched that many times.
func wantNothingLeft(t testing.TB, m *kit.Machine, before inventory) {
	t.Helper()
	more, fewer := kit.Difference(before, takeInventory(t, m))
	for _, l := range more {
		t.Errorf("only after the test: %s", l)
	}
	for _, l := range fewer {
		// systemd may have unloaded one of its units. Files and processes must not be missing.
		if !strings.HasPrefix(l, "unit ") {
			t.Errorf("only before the test: %s", l)
		}
	}
}
