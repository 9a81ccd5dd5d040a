package resolve

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestSameListeners(t *testing.T) {
	listen := func(list ...string) []units.Listener {
		var out []units.Listener
		for _, s := range list {
			l, err := units.ParseListener(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, l)
		}
		return out
	}
	now := units.App{
		Name: "shop", Command: []string{"/usr/bin/node", "server.js"}, Directory: "/srv", Listen: listen("8080"),
		Env: []units.EnvVar{{Name: "PORT", Value: "8080"}, {Name: "TZ", Value: "UTC"}},
	}
	tests := []struct {
		what string
		edit func(*units.App)
		same bool
	}{
		{"the same without --listen", func(a *units.App) { a.Listen = nil }, true},
		{"the same with --listen", func(*units.App) {}, true},
		{"another count, timeout and user", func(a *units.App) {
			a.Listen, a.Instances.N, a.Timeouts.Drain, a.RunAs.User = nil, 4, 1, "shop"
		}, true},
		{"another variable", func(a *units.App) {
			a.Listen = nil
			a.Env = append([]units.EnvVar{{Name: "RELEASE", Value: "2"}}, a.Env...)
		}, true},
		{"another port in a variable", func(a *units.App) { a.Listen = nil; a.Env = []units.EnvVar{{Name: "PORT", Value: "9090"}} }, false},
		{"the variable with the port is removed", func(a *units.App) { a.Listen, a.Env = nil, nil }, false},
		{"a new variable with PORT in its name", func(a *units.App) {
			a.Listen = nil
			a.Env = append([]units.EnvVar{{Name: "ADMIN_PORT", Value: "1"}}, a.Env...)
		}, false},
		{"a new variable with a port of the app in its value", func(a *units.App) {
			a.Listen = nil
			a.Env = append([]units.EnvVar{{Name: "ADDRESS", Value: "127.0.0.1:8080"}}, a.Env...)
		}, false},
		{"another increment", func(a *units.App) {
			a.Listen, a.Shim.Increment = nil, []units.EnvVar{{Name: "ID", Value: "1"}}
		}, false},
		{"other arguments without --listen", func(a *units.App) { a.Listen = nil; a.Command = []string{"/usr/bin/node", "other.js"} },
			false},
		{"other arguments with --listen", func(a *units.App) { a.Command = []string{"/usr/bin/node", "other.js"} }, true},
		{"another program with --listen", func(a *units.App) { a.Command = []string{"/usr/bin/bun", "server.js"} }, false},
		{"another address", func(a *units.App) { a.Listen = listen("8081") }, false},
		{"one more address", func(a *units.App) { a.Listen = listen("8080", "8081") }, false},
		{"one family only", func(a *units.App) { a.Listen = listen("0.0.0.0:8080") }, false},
		{"native", func(a *units.App) { a.Activation = units.Native }, false},
		{"another directory", func(a *units.App) { a.Listen = nil; a.Directory = "/opt" }, false},
	}
	for _, tt := range tests {
		asked := now
		tt.edit(&asked)
		if got := sameListeners(now, asked); got != tt.same {
			t.Errorf("%s: got %v, want %v", tt.what, got, tt.same)
		}
	}
}

// TestPortsDiffer checks which removed, changed or new variables can carry a port.
func TestPortsDiffer(t *testing.T) {
	for variable, want := range map[string]bool{
		"A=80": true, "A=0.0.0.0:80": true, "A=http://shop:80/": true, "A=--port=80": true, "A=8080": false, "A=180": false,
		"A=x": false, "A=": false, "A=0": false, "PORT=": true, "admin_port=1": true, "Report=1": true, "A=PORT": false,
	} {
		name, value, _ := strings.Cut(variable, "=")
		with := units.App{Env: []units.EnvVar{{Name: name, Value: value}}}
		for _, listen := range [][]units.Listener{
			{{Port: 8080, Bind: 80}}, {{Network: units.Unix, Path: "/run/a.sock"}, {Network: units.Unix, Path: "/run/b.sock", Bind: 80}},
		} {
			now := units.App{Listen: listen, Env: with.Env}
			if got := portsDiffer(now, units.App{}); got != want {
				t.Errorf("%s is removed: got %v, want %v", variable, got, want)
			}
			if got := portsDiffer(now, units.App{Env: []units.EnvVar{{Name: name, Value: "other"}}}); got != want {
				t.Errorf("%s is changed: got %v, want %v", variable, got, want)
			}
			if got := portsDiffer(units.App{Listen: listen}, with); got != want {
				t.Errorf("%s is new: got %v, want %v", variable, got, want)
			}
			if portsDiffer(now, with) {
				t.Errorf("%s is unchanged: got true, want false", variable)
			}
		}
	}
}
