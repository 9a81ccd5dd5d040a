//go:build lab

package matrix

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestProgramThatCannotBeAdopted: when the shim cannot adopt a program, it logs one error with one hint, and does not start
// the program.
func TestProgramThatCannotBeAdopted(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	m.Sh(t, "cd "+srv+" && gcc -O1 -Wall -Werror -o listener listener.c")
	for _, c := range []struct {
		name, why, hint string
		// dropIn is a drop-in that the administrator has added to the unit. EXEC stands for the command line of the unit.
		dropIn string
	}{
		{
			"h-forbidden", "not permitted", "SystemCallFilter=@system-service seccomp",
			"[Service]\nSystemCallFilter=~seccomp\n",
		},
		{
			"h-busy", "listener is already installed", "--activation native",
			// The helper first installs a seccomp listener. It runs as the user of the unit.
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
				t.Error("the program was started")
			}
			m.AwaitJournal(t, c.hint, "-u", a.Unit(1), "--since", since) // the last line of the message
			wantOneError(t, m, a.Unit(1), since, c.why, c.hint)
			if s := a.Machine.Property(t, a.Unit(1), "ActiveState"); s != "failed" {
				t.Errorf("a restart cannot fix this, so the unit must be failed, but it is %s", s)
			}
			kit.WantOutput(t, m.Must(t, "show", a.Name), "cannot adopt the program on this machine")
		})
	}
}

// wantOneError fails the test unless the log of the unit has exactly one error of the shim, with the reason, and exactly
// one hint.
func wantOneError(t testing.TB, m *kit.Machine, unit, since, why, hint string) {
	t.Helper()
	var said []string
	for _, l := range kit.Lines(m.Journal(t, "-u", unit, "-o", "cat", "--since", since)) {
		if strings.HasPrefix(l, "clusterctl-shim: ") {
			said = append(said, l)
		}
	}
	if len(said) != 2 || !strings.Contains(said[0], why) || !strings.HasPrefix(said[1], "clusterctl-shim: hint: ") ||
		!strings.Contains(said[1], hint) {
		t.Errorf("the shim logged\n%s\nwant an error with %q and a hint with %q", strings.Join(said, "\n"), why, hint)
	}
}
