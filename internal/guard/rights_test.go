package guard

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

func TestMoreRights(t *testing.T) {
	web, root := units.RunAs{User: "nobody"}, units.RunAs{User: "root"}
	socket := units.Listener{Network: units.Unix, Path: "/srv/x.sock"}
	off := units.LogRate{Off: true}
	for _, tt := range []struct {
		a, b units.App
		want []string
	}{
		{units.App{}, units.App{}, nil},
		{units.App{RunAs: web}, units.App{RunAs: units.RunAs{User: "root"}}, []string{"run-as: nobody -> root"}},
		{units.App{}, units.App{RunAs: web}, []string{"run-as: dynamic -> nobody"}},
		{units.App{RunAs: web}, units.App{}, nil},
		{units.App{RunAs: units.RunAs{User: "root"}}, units.App{RunAs: web}, nil},
		{units.App{RunAs: units.RunAs{User: "0"}}, units.App{RunAs: web}, nil},
		{units.App{Sandbox: units.SandboxStrict}, units.App{}, []string{"sandbox: strict -> default"}},
		{units.App{}, units.App{Sandbox: units.SandboxOff}, []string{"sandbox: default -> off"}},
		{units.App{Sandbox: units.SandboxOff}, units.App{Sandbox: units.SandboxStrict}, nil},
		{units.App{}, units.App{Shim: units.ShimOptions{OwnPtrace: true}}, []string{"own-ptrace: false -> true"}},
		{units.App{Shim: units.ShimOptions{OwnPtrace: true}}, units.App{}, nil},
		{units.App{Writable: []string{"/srv/a/"}}, units.App{Writable: []string{"/srv/a/b", "/srv/ab", "/srv/a"}},
			[]string{"writable: /srv/ab"}},
		{units.App{Writable: []string{"/"}}, units.App{Writable: []string{"/srv"}}, nil},
		{units.App{RunAs: root}, units.App{RunAs: root, Reads: []string{"/root/.nvm", "/root/../home/x", "/root", "/home/y"}},
			[]string{"read: /root/../home/x, /root, /home/y"}},
		{units.App{}, units.App{Reads: []string{"/root/.nvm"}}, []string{"read: /root/.nvm"}},
		{units.App{RunAs: web}, units.App{RunAs: web, Reads: []string{"/nonexistent/x"}}, []string{"read: /nonexistent/x"}},
		{units.App{}, units.App{EnvFiles: []units.EnvFile{{Path: "/etc/x"}, {Path: "/srv/x", ByWorker: true}}},
			[]string{"env-files: /etc/x"}},
		{units.App{}, units.App{Listen: []units.Listener{socket, {Port: 8080}}}, []string{"listen: /srv/x.sock"}},
		{units.App{}, units.App{Directory: "/srv",
			Listen: []units.Listener{socket, {Network: units.Unix, Path: "/run/x/y"}, {Network: units.Unix, Path: "@x"}}}, nil},
		{units.App{Listen: []units.Listener{socket}}, units.App{Listen: []units.Listener{socket}}, nil},
		{units.App{}, units.App{Logs: units.Logs{Rate: off}}, []string{"log-rate: off"}},
		{units.App{Logs: units.Logs{Rate: off}}, units.App{Logs: units.Logs{Rate: off}}, nil},
		{units.App{}, units.App{Logs: units.Logs{Namespace: true}}, nil},
		{units.App{Logs: units.Logs{Namespace: true}}, units.App{Logs: units.Logs{Rate: off}}, []string{"log-rate: off"}},
		{units.App{}, units.App{SocketOptions: []units.SocketOption{{Key: "Mark", Value: "7"}, {Key: "KeepAlive", Value: "yes"}}},
			[]string{"socket-options: Mark=7"}},
		{units.App{Trust: []string{"a"}}, units.App{Trust: []string{"a", "b"}}, []string{"trust: b"}},
	} {
		if got := MoreRights(tt.a, tt.b); !slices.Equal(got, tt.want) {
			t.Errorf("from %+v to %+v: got %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestMoreListeners(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want string
	}{
		{"", "8080 1024 udp:5353", ""},
		{"8080", "8081", ""},
		{"127.0.0.1:8080", "8081", ""},
		{"", "web=80:3000 udp:53", "80, udp:53"},
		{"80", "10.0.0.1:80 443", "443"},
		{"80", "udp:80", "udp:80"},
		{"127.0.0.1:8080", "8080", "127.0.0.1:8080 -> 8080"},
		{"127.0.0.1:80", "10.0.0.1:80", "127.0.0.1:80 -> 10.0.0.1:80"},
		{"[::1]:8080", "127.0.0.2:8080", ""},
		{"127.0.0.1:8080 10.0.0.1:8080", "8080", ""},
		{"8080", "127.0.0.1:8080", ""},
	} {
		var apps [2]units.App
		for i, list := range []string{tt.a, tt.b} {
			for word := range strings.FieldsSeq(list) {
				l, err := units.ParseListener(word)
				if err != nil {
					t.Fatal(err)
				}
				apps[i].Listen = append(apps[i].Listen, l)
			}
		}
		if got := strings.Join(moreListeners(apps[0], apps[1]), ", "); got != tt.want {
			t.Errorf("from %q to %q: got %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestRightsAreComplete checks that each key is either in rights() or in the list of keys that give no rights.
func TestRightsAreComplete(t *testing.T) {
	none := []string{
		"name", "command", "directory", "instances", "socket-mode", "socket-user", "socket-group", "activation", "ready", "env",
		"worker-env-files", "secret-env", "restart", "start-timeout", "drain-timeout", "stop-timeout", "surge", "increment", "pin",
		"max-restarts", "min-uptime", "node-preload", "accept", "drain", "blocking", "log-namespace", "log-max-size", "log-max-age",
	}
	var given []string
	for _, r := range rights() {
		given = append(given, r.key)
	}
	for _, key := range config.Keys() {
		if slices.Contains(none, key) == slices.Contains(given, key) {
			t.Errorf("the key %s must be either in rights() or in the list none", key)
		}
	}
}

// TestMayDecide checks which descriptions MayDecide accepts if other users may change the file. In most cases, the user
// nobody owns the file and its directory.
func TestMayDecide(t *testing.T) {
	w := newWorld(t)
	const nobody = 65534
	w.mkdir(t, "srv", 0o755)
	file := w.file(t, "srv/clusterctl.yaml", "", 0o644)
	chown := func(uid int) {
		t.Helper()
		if err := errors.Join(os.Chown(w.dir+"/srv", uid, 0), os.Chown(file, uid, 0)); err != nil {
			t.Fatal(err)
		}
	}
	web := units.App{Name: "web", Command: []string{"/bin/true"}, RunAs: units.RunAs{User: "nobody"}, Directory: w.dir + "/srv"}
	root, wide, other := web, web, web
	root.RunAs.User, wide.Sandbox, other.RunAs.User = "root", units.SandboxOff, "daemon"
	inside, outside := web, web
	inside.Writable, outside.Writable = []string{w.dir + "/srv/data"}, []string{"/etc"}
	inGroup, toGroup := web, web
	inGroup.RunAs.Group, toGroup.RunAs.Group = "65534", "shadow"
	dynamic := web
	dynamic.RunAs = units.RunAs{}
	for name, tt := range map[string]struct {
		app   units.App
		owner int
		want  string
	}{
		"a file of root":                 {root, 0, ""},
		"as the owner":                   {web, nobody, ""},
		"in the owner's group":           {inGroup, nobody, ""},
		"in another group":               {toGroup, nobody, "run-as: nobody -> nobody:shadow"},
		"dynamic":                        {dynamic, nobody, ""},
		"writable inside":                {inside, nobody, ""},
		"as root":                        {root, nobody, "run-as: dynamic -> root"},
		"as another user":                {other, nobody, "run-as: dynamic -> daemon"},
		"without a sandbox":              {wide, nobody, "sandbox: default -> off"},
		"writable outside":               {outside, nobody, "writable: /etc"},
		"as another user than the owner": {web, 1, "run-as: dynamic -> nobody"},
	} {
		chown(tt.owner)
		err := w.MayDecide(file, nil, tt.app)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: got error %v, want none", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, fs.ErrPermission) ||
			fault.Hint(err) != "sudo install -m 644 "+file+" /etc/web.yaml && sudo clusterctl apply -f /etc/web.yaml" {
			t.Errorf("%s: got error %v, hint %q, want %q", name, err, fault.Hint(err), tt.want)
		}
	}
	chown(nobody)
	w.Caller = nobody
	if err := w.MayDecide(file, nil, root); err != nil {
		t.Errorf("a file of the caller: got error %v, want none", err)
	}
	w.Caller = 0

	// The owner of the file must not change an app that runs as another user, because this owner would decide what the other
	// user runs.
	old := units.App{Name: "old", Command: []string{"/bin/true"}}
	if err := w.MayDecide(file, &old, old); err != nil {
		t.Errorf("without a change: got error %v, want none", err)
	}
	other = old
	other.Command = []string{"/bin/false"}
	if err := w.MayDecide(file, &old, other); err == nil || !strings.Contains(err.Error(), "old (command)") {
		t.Errorf("with another command: got error %v", err)
	}
}
