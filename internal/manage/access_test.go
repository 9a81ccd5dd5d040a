package manage

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// TestAccessNotes checks that there is a note for each socket file to which all users could connect before the update, and
// no other note.
func TestAccessNotes(t *testing.T) {
	const path, web = "/run/shop.sock", "; for a web server: --socket-group www-data"
	old := func(mode string) []install.Change {
		f := install.Change{Op: install.Update, Path: "/etc/systemd/system/shop.socket"}
		f.Old = []byte("[Socket]\nListenStream=" + path + "\n" + mode)
		f.New = []byte("[Socket]\nListenStream=" + path + "\nSocketMode=0660\n")
		return []install.Change{f, {Op: install.Update, Path: "/etc/systemd/system/shop@.service", Old: []byte("x"), New: []byte("y")}}
	}
	user := units.RunAs{User: "web"}
	for _, c := range []struct {
		name   string
		runAs  units.RunAs
		socket units.SocketAccess
		files  []install.Change
		want   []string
	}{
		{
			"the workers' user", user, units.SocketAccess{}, old(""),
			[]string{path + ": only root, web and the group of web can connect" + web},
		},
		{
			"user and group", units.RunAs{User: "web", Group: "adm"}, units.SocketAccess{}, old("SocketMode=0666\n"),
			[]string{path + ": only root, web and the group adm can connect" + web},
		},
		{
			"a configured group", user, units.SocketAccess{Group: "www-data"}, old(""),
			[]string{path + ": only root, web and the group www-data can connect"},
		},
		{
			"a dynamic user and a group", units.RunAs{}, units.SocketAccess{Group: "www-data"}, old(""),
			[]string{path + ": only root and the group www-data can connect"},
		},
		{"only root can connect", units.RunAs{}, units.SocketAccess{}, old(""), nil},
		{"all users before and after", user, units.SocketAccess{Mode: 0o666}, old("SocketMode=0777\n"), nil},
		{"restricted before", user, units.SocketAccess{}, old("SocketMode=0600\n"), nil},
		{
			"a new socket", user, units.SocketAccess{},
			[]install.Change{{Op: install.Create, Path: "/etc/systemd/system/shop.socket", New: []byte("SocketMode=0660\n")}}, nil,
		},
	} {
		a := newApp(t, "listen="+path)
		a.RunAs, a.Socket = c.runAs, c.socket
		if got := accessNotes(a, c.files); !slices.Equal(got, c.want) {
			t.Errorf("%s: got the notes %q, want %q", c.name, got, c.want)
		}
	}
}
