package resolve

import (
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
		{"the variable with the port is gone", func(a *units.App) { a.Listen, a.Env = nil, nil }, false},
		{"a new variable with a port", func(a *units.App) {
			a.Listen = nil
			a.Env = append([]units.EnvVar{{Name: "ADMIN_PORT", Value: "1"}}, a.Env...)
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
			t.Errorf("%s: same is %v", tt.what, got)
		}
	}
}

// TestPortsDiffer checks which changed variables can move the app to another port.
func TestPortsDiffer(t *testing.T) {
	for value, want := range map[string]bool{
		"80": true, "0.0.0.0:80": true, "http://shop:80/": true, "--port=80": true, "8080": false, "180": false, "x": false, "": false,
	} {
		now := units.App{Listen: []units.Listener{{Port: 8080, Bind: 80}}, Env: []units.EnvVar{{Name: "A", Value: value}}}
		if got := portsDiffer(now, units.App{Env: []units.EnvVar{{Name: "A", Value: "other"}}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
