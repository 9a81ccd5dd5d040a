//go:build lab

package matrix

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestDaemonsAreRefused installs programs that fork into the background, by default or because of an option. clusterctl
// install must fail with a hint, and no process of the programs may remain.
func TestDaemonsAreRefused(t *testing.T) {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	m.Sh(t, "sed /daemon/d "+srv+"/nginx.conf > "+srv+"/nginx-daemon.conf")
	for _, c := range []struct {
		name    string
		command []string
		hint    string
	}{
		{"d-nginx", []string{"nginx", "-c", srv + "/nginx-daemon.conf"}, "hint: nginx: run it with -g 'daemon off;'"},
		{"d-gunicorn", []string{"gunicorn", "-D", "-b", "0.0.0.0:8332", "wsgi:app"},
			"hint: gunicorn: run it without -D or --daemon, and without daemon in its configuration"},
		{"d-shell", []string{"/bin/sh", "-c", "python3 -m http.server 8333 & exit 0"},
			"hint: start the program without \"&\", best with \"exec PROGRAM\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := m.Clusterctl(t, slices.Concat([]string{"install", "-i", "2", "--name", c.name}, slowProbe,
				[]string{"x", "--"}, c.command)...)
			if r.Code != 3 {
				t.Errorf("got exit status %d, want 3", r.Code)
			}
			kit.WantOutput(t, r, "it went into the background: it exited 0, and left ", c.hint)
		})
	}
	m.Sh(t, "rm "+srv+"/nginx-daemon.conf")
	wantInventory(t, m, before)
}
