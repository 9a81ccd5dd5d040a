package units_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

func TestParseSocketMode(t *testing.T) {
	for s, want := range map[string]uint16{"0660": 0o660, "660": 0o660, "0666": 0o666, "777": 0o777} {
		if got, err := units.ParseSocketMode(s); err != nil || got != want {
			t.Errorf("%q: got %o, %v, want %o", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "000", "66", "0888", "1777", "00660", "0o660", "-660", "rw", "u=rw"} {
		if got, err := units.ParseSocketMode(s); err == nil {
			t.Errorf("%q was parsed as %o, want an error", s, got)
		}
	}
}

func TestParseLogRate(t *testing.T) {
	for s, want := range map[string]units.LogRate{
		"off": {Off: true}, "1/1s": {Lines: 1, Per: time.Second}, "60000/30s": units.DefaultLogRate(),
		"5/1h30m": {Lines: 5, Per: 90 * time.Minute},
	} {
		got, err := units.ParseLogRate(s)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", s, got, err, want)
		}
		if again, err := units.ParseLogRate(got.String()); err != nil || again != got {
			t.Errorf("%q is formatted as %q, which parses as %+v, %v", s, got, again, err)
		}
	}
	for _, s := range []string{"", "on", "5", "5/", "/30s", "0/30s", "-1/30s", "5/30", "5/500ms", "5/1000h",
		"99999999/1s", "5/1.0000001s"} {
		if got, err := units.ParseLogRate(s); err == nil {
			t.Errorf("%q was parsed as %+v, want an error", s, got)
		}
	}
}

// TestSocketOwner: the workers' user owns a socket unless the app sets another owner.
func TestSocketOwner(t *testing.T) {
	for _, c := range []struct {
		runAs       units.RunAs
		asked, want units.SocketAccess
	}{
		{units.RunAs{}, units.SocketAccess{}, units.SocketAccess{Mode: 0o660}},
		{units.RunAs{}, units.SocketAccess{Group: "www-data"}, units.SocketAccess{Mode: 0o660, Group: "www-data"}},
		{units.RunAs{User: "web"}, units.SocketAccess{}, units.SocketAccess{Mode: 0o660, User: "web"}},
		{units.RunAs{User: "web", Group: "adm"}, units.SocketAccess{}, units.SocketAccess{Mode: 0o660, User: "web", Group: "adm"}},
		{units.RunAs{User: "web", Group: "adm"}, units.SocketAccess{User: "x", Mode: 0o600}, units.SocketAccess{Mode: 0o600, User: "x"}},
	} {
		if got := (units.App{RunAs: c.runAs, Socket: c.asked}).SocketAccess(); got != c.want {
			t.Errorf("%+v with %+v: got %+v, want %+v", c.runAs, c.asked, got, c.want)
		}
	}
}

// TestSocketInOwnDirectory: in a directory that the workers' user may write to, the shim changes the owner of a socket, and
// PID 1 does not.
func TestSocketInOwnDirectory(t *testing.T) {
	app := func(listen, dir string, socket units.SocketAccess) units.App {
		l, err := units.ParseListener(listen)
		if err != nil {
			t.Fatal(err)
		}
		return units.App{
			Name: "web", Command: []string{"/srv/web/app"}, Directory: dir, RunAs: units.RunAs{User: "web"},
			Listen: []units.Listener{l}, Socket: socket,
		}
	}
	const shim = "\nExecStartPost=-:/usr/lib/clusterctl/clusterctl-shim own --user=web "
	for _, c := range []struct {
		listen, dir string
		own         bool
	}{
		{"/srv/web/app.sock", "/srv/web", true}, {"/srv/web/app.sock", "/srv/web/", true}, {"/srv/web/run/app.sock", "/srv/web", true},
		{"/srv/sockets/web.sock", "/srv/web", true}, {"/home/web/app.sock", "/home/web/app", true}, {"/run/web/app.sock", "/run/web", true},
		{"/run/web.sock", "/srv/web", false}, {"/run/web/app.sock", "/", false}, {"/var/run/web.sock", "/srv/web", false},
		{"/run/web.sock", "", false}, {"@/srv/web/app", "/srv/web", false},
	} {
		for _, asked := range []units.SocketAccess{{}, {Group: "www-data"}} {
			set, err := units.Render(app(c.listen, c.dir, asked), units.Target{Systemd: 252, Sizing: units.Sizing{Want: 1, Listed: 1}})
			if file := c.listen[0] == '/'; err != nil && file {
				t.Fatal(err)
			} else if err != nil {
				continue // an abstract socket cannot have a group
			}
			unit, _ := set.Get("web.socket")
			words := shim
			if asked.Group != "" {
				words += "--group=www-data "
			}
			file := c.listen[0] == '/'
			byPID1, byShim := strings.Contains(string(unit), "\nSocketUser=web\n"), strings.Contains(string(unit),
				words+`"`+c.listen+"\"\n")
			if byPID1 != (file && !c.own) || byShim != c.own || strings.Contains(string(unit), "\nSocketMode=0660\n") != file {
				t.Errorf("%q in %q, %+v: got the unit\n%s\nwant the shim to change the owner: %v", c.listen, c.dir, asked, unit, c.own)
			}
		}
	}
}
