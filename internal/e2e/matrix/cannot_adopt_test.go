//go:build lab

package matrix

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestProgramThatCannotBeAdopted changes a unit so that the shim cannot adopt the program. The shim must log one error
// with one hint, and must not start the program.
func TestProgramThatCannotBeAdopted(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	m.Sh(t, "cd "+srv+" && gcc -O1 -Wall -Werror -o listener listener.c")
	for _, c := range []struct {
		name, reason, hint string
		// The field dropIn is the text of a drop-in for the unit. The test replaces EXEC with the command line of the
		// unit.
		dropIn string
	}{
		{
			"h-forbidden", "not permitted", "SystemCallFilter=@system-service seccomp",
			"[Service]\nSystemCallFilter=~seccomp\n",
		},
		{
			"h-busy", "listener is already installed", "--activation native",
			// The program "listener" installs a seccomp user notification filter, and then executes EXEC. The kernel
			// permits only one such filter per process.
			"[Service]\nSystemCallFilter=\nExecStart=\nExecStart=:" + srv + "/listener EXEC\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := install(t, m, c.name, 1, 8731, portFlags(8731, "node.js")...)
			exec := m.Sh(t, "sed -n 's/^ExecStart=://p' /etc/systemd/system/"+c.name+"@.service")
			dir := "/etc/systemd/system/" + c.name + "@.service.d"
			t.Cleanup(func() { m.Sh(t, "rm -rf "+dir+" && systemctl daemon-reload") })
			m.WriteFile(t, dir+"/50-admin.conf", strings.ReplaceAll(c.dropIn, "EXEC", exec), 0o644)
			since := m.Sh(t, "date '+%F %T.%6N'")
			m.Sh(t, "systemctl daemon-reload")
			if r := m.Try("systemctl restart " + a.Unit(1)); r.Code == 0 {
				t.Error("systemctl restart succeeded, want an error")
			}
			m.AwaitJournal(t, c.hint, "-u", a.Unit(1), "--since", since) // the last line of the message
			wantOneError(t, m, a.Unit(1), since, c.reason, c.hint)
			if s := a.Machine.Property(t, a.Unit(1), "ActiveState"); s != "failed" {
				t.Errorf("%s is %s, want failed, because a restart cannot fix this error", a.Unit(1), s)
			}
			kit.WantOutput(t, m.Must(t, "show", a.Name), "cannot adopt the program on this machine")
		})
	}
}

// wantOneError checks the lines of the shim in the log of the unit. The parameter since is the time at which these lines
// begin. wantOneError fails the test unless there are exactly two lines: an error that contains the reason, and the
// hint.
func wantOneError(t testing.TB, m *kit.Machine, unit, since, reason, hint string) {
	t.Helper()
	var lines []string
	for _, l := range kit.Lines(m.Journal(t, "-u", unit, "-o", "cat", "--since", since)) {
		if strings.HasPrefix(l, "clusterctl-shim: ") {
			lines = append(lines, l)
		}
	}
	if len(lines) != 2 || !strings.Contains(lines[0], reason) || !strings.HasPrefix(lines[1], "clusterctl-shim: hint: ") ||
		!strings.Contains(lines[1], hint) {
		t.Errorf("the shim logged\n%s\nwant an error with %q and a hint with %q", strings.Join(lines, "\n"), reason, hint)
	}
}
