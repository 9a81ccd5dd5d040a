//go:build lab

package matrix

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
)

// inventory is a list of the processes, files, units, listeners and descriptors of a machine that an app could leave
// behind.
type inventory []string

// inventoryScript prints an inventory, one item per line: processes, files in /run and in the directories that an app can
// write to, units, listeners, and the open files of PID 1. The script omits files and processes of systemd, of the
// journal and of the script itself. The script also omits:
//   - sockets of PID 1 that do not listen, because these are connections of systemctl and of the bus, which open and close
//     at any time;
//   - /run/systemd/units/log-extra-fields:*, which systemd does not delete for units with LogExtraFields= (observed with
//     systemd 252, also for units that clusterctl has not written);
//   - /run/private, dynamic-uid and unit-private-tmp, which systemd creates for the first unit that needs them, and never
//     deletes;
//   - /tmp/namespace-dev-*, which a process of systemd creates for PrivateDevices=, and does not delete if it is killed at
//     this moment (namespace.c, mount_private_dev);
//   - clusterctl.slice, the parent of the apps' slices, which systemd creates without a file.
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

// takeInventory returns the current inventory of the machine.
func takeInventory(t testing.TB, m *kit.Machine) inventory {
	t.Helper()
	return kit.Lines(m.Sh(t, inventoryScript))
}

// wantInventory compares the machine with an earlier inventory. wantInventory fails the test for each new item, and for
// each missing item that is not a unit.
func wantInventory(t testing.TB, m *kit.Machine, before inventory) {
	t.Helper()
	more, fewer := kit.Difference(before, takeInventory(t, m))
	for _, l := range more {
		t.Errorf("this item was added: %s", l)
	}
	for _, l := range fewer {
		// systemd may have unloaded a unit.
		if !strings.HasPrefix(l, "unit ") {
			t.Errorf("this item was removed: %s", l)
		}
	}
}
