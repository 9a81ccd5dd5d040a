//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestForgedLinesOfUsers writes forged lines to the journal as an unprivileged user. The forged lines contain fields that
// only a worker, systemd or journald would set. clusterctl logs must not print the forged lines. clusterctl logs must
// print the lines of the worker's child processes, although journald may record only the user of these lines, and not
// their unit.
func TestForgedLinesOfUsers(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const children, forger = "/opt/e2e/children.py", "/opt/e2e/forger.py"
		m.CopyIn(t, "testdata/children.py", children)
		m.CopyIn(t, "testdata/forger.py", forger)
		for _, c := range []struct{ name, user string }{{"forged", "daemon"}, {"forged-dyn", "dynamic"}} {
			t.Cleanup(func() { kit.App{Machine: m, Name: c.name}.Uninstall(t) })
			m.Must(t, "install", c.name, "-i", "1", "--no-listen", "--run-as", c.user, "--env", "APP="+c.name,
				"--settle", "1ms", "--", "python3", children)
			m.AwaitJournal(t, "end", "_SYSTEMD_UNIT="+c.name+"@1.service")
			// The forger is executed from a path that ends with systemd/systemd, like the path of PID 1.
			m.Sh(t, "mkdir -p /tmp/x/systemd && cp \"$(readlink -f \"$(command -v python3)\")\" /tmp/x/systemd/systemd && "+
				"chmod -R a+rX /tmp/x /opt/e2e")
			m.Sh(t, "PYTHONHOME=/usr setpriv --reuid=nobody --regid=nogroup --clear-groups /tmp/x/systemd/systemd "+forger+" "+c.name)
			m.AwaitJournal(t, "FORGED from a running process", "CLUSTERCTL_APP="+c.name)

			var stdout, native int
			for _, l := range readLogs(t, m, c.name, "-n", "all") {
				switch {
				case strings.Contains(l.Message, "FORGED") || strings.HasPrefix(l.Message, "Suppressed"):
					t.Errorf("clusterctl logs prints a forged line as a line of %s: %v", l.Source, l)
				case strings.HasPrefix(l.Message, "stdout "):
					stdout++
				case strings.HasPrefix(l.Message, "native "):
					native++
				}
			}
			if native != 200 || stdout != 200 {
				t.Errorf("%s: clusterctl logs prints %d lines from stdout and %d lines from the native protocol, want 200 of each",
					c.user, stdout, native)
			}
			if r := m.Must(t, "show", c.name); strings.Contains(r.Stdout, "4711") {
				t.Errorf("clusterctl show prints 4711, the number of dropped lines in a forged message:\n%s", r.Stdout)
			}
		}
	})
}
