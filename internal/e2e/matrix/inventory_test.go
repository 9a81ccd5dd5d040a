//go:build lab

package matrix

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
)

// inventory is what a machine holds that an app could leave behind, one thing a line.
type inventory []string

// inventoryScript lists processes, files of /run and wherever an app may write, units, listeners and what PID 1 holds
// open. It leaves out what systemd, the journal and this script do, and
//   - sockets of PID 1 that do not listen: connections of systemctl and of the bus come and go;
//   - /run/systemd/units/log-extra-fields:*, which systemd leaves for every unit with LogExtraFields= (seen with a plain
//     one on 252), and /run/private, dynamic-uid and unit-private-tmp, which the first unit of a machine that needs them makes;
//   - /tmp/namespace-dev-*, which a process of systemd's makes for PrivateDevices= and leaves when it is killed at that moment
//     (namespace.c, mount_private_dev);
//   - clusterctl.slice, the parent of the apps' slices: it is systemd's own doing and has no file.
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

// wantNothingLeft compares the machine with what it was. Things that occur several times are counted.
func wantNothingLeft(t testing.TB, m *kit.Machine, before inventory) {
	t.Helper()
	more, fewer := kit.Difference(before, takeInventory(t, m))
	for _, l := range more {
		t.Errorf("left behind: %s", l)
	}
	for _, l := range fewer {
		// systemd may have collected one of its units. Files and processes must not be gone.
		if !strings.HasPrefix(l, "unit ") {
			t.Errorf("gone: %s", l)
		}
	}
}
