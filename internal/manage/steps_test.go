package manage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// newApp returns an App from flags of install.
func newApp(t *testing.T, args ...string) units.App {
	t.Helper()
	a := units.App{Name: "shop", Command: []string{"/bin/true"}, Instances: units.Count{N: 2}}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "i":
			_, _ = fmt.Sscan(value, &a.Instances.N)
		case "log":
			a.Logs.Namespace = true
			_, _ = fmt.Sscan(value, &a.Logs.MaxSize)
		case "env":
			a.Env = append(a.Env, units.EnvVar{Name: "A", Value: value})
		case "socket-group":
			a.Socket.Group = value
		case "listen":
			l, err := units.ParseListener(value)
			if err != nil {
				t.Fatal(err)
			}
			a.Listen = append(a.Listen, l)
		}
	}
	return a
}

// planChanges compares the files of two apps and returns the differences, like install.Store.Plan.
func planChanges(t *testing.T, before, after units.App) []install.Change {
	t.Helper()
	files := func(a units.App) map[string][]byte {
		set, err := units.Render(a, units.Target{Systemd: 252, Sizing: units.Sizing{Want: a.Instances.N, Listed: a.Instances.N}})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]byte{"/etc/clusterctl/shop.yaml": fmt.Append(nil, a)}
		for _, f := range set {
			out["/etc/systemd/system/"+f.Path] = f.Data
		}
		return out
	}
	oldFiles, newFiles := files(before), files(after)
	var paths []string
	for p := range oldFiles {
		paths = append(paths, p)
	}
	for p := range newFiles {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var all []install.Change
	for _, p := range slices.Compact(paths) {
		c := install.Change{Path: p, Old: oldFiles[p], New: newFiles[p]}
		switch {
		case c.Old == nil:
			c.Op = install.Create
		case c.New == nil:
			c.Op = install.Remove
		case string(c.Old) != string(c.New):
			c.Op = install.Update
		}
		all = append(all, c)
	}
	return all
}

func (s step) String() string {
	word := [...]string{
		"write", "reload", "open", "start", "replace", "stop", "close", "stop-all", "start-all", "journal", "end-journal", "access",
	}[s.kind]
	for _, u := range s.sockets {
		word += " " + strings.TrimSuffix(u, ".socket")
	}
	for _, i := range s.instances {
		word += fmt.Sprintf(" %d", i)
	}
	return word
}

// TestSteps checks the steps for each kind of change, and the reason for changes that need a stop.
func TestSteps(t *testing.T) {
	tests := []struct {
		what          string
		before, after []string
		stopped       bool
		start         bool
		want          string
		reason        string
	}{
		{what: "nothing", before: []string{"listen=80"}, after: []string{"listen=80"}},
		{what: "a variable", before: []string{"listen=80"}, after: []string{"listen=80", "env=1"}, want: "write, reload, replace 1 2"},
		{what: "a variable of a background app", after: []string{"env=1"}, want: "write, reload, replace 1 2"},
		{what: "more instances", before: []string{"i=2"}, after: []string{"i=4"}, want: "write, reload, start 3 4"},
		{what: "fewer instances", before: []string{"i=4"}, after: []string{"i=1"}, want: "write, reload, stop 2 3 4"},
		{
			what: "more instances and a variable", before: []string{"i=1"}, after: []string{"i=2", "env=1"},
			want: "write, reload, start 2, replace 1",
		},
		{
			what: "fewer instances and a variable", before: []string{"i=3"}, after: []string{"i=2", "env=1"},
			want: "write, reload, replace 1 2, stop 3",
		},
		{
			what: "one more listener", before: []string{"listen=80"}, after: []string{"listen=80", "listen=admin=81"},
			want: "write, reload, open shop-admin, replace 1 2",
		},
		{
			what: "one listener less", before: []string{"listen=80", "listen=admin=81"}, after: []string{"listen=80"},
			want: "write, reload, replace 1 2, close shop-admin",
		},
		{
			what: "one listener replaced by others", before: []string{"listen=80", "listen=admin=81"},
			after: []string{"listen=80", "listen=/run/x.sock", "listen=log=udp:81"},
			want:  "write, stop-all, reload, start-all 1 2", reason: "shop.socket changes its address from 80 to 80 /run/x.sock",
		},
		{
			what: "the second listener replaced by another", before: []string{"listen=80", "listen=admin=81"},
			after: []string{"listen=80", "listen=log=udp:81"},
			want:  "write, reload, open shop-log, replace 1 2, close shop-admin",
		},
		{
			what: "another group of a Unix socket", before: []string{"listen=/run/x.sock"},
			after: []string{"listen=/run/x.sock", "socket-group=www-data"},
			want:  "write, reload, access",
		},
		{
			what: "another group of a Unix socket, stopped", stopped: true, before: []string{"listen=/run/x.sock"},
			after: []string{"listen=/run/x.sock", "socket-group=www-data"}, want: "write, reload",
		},
		{what: "a listener for a background app", after: []string{"listen=80"}, want: "write, reload, open shop, replace 1 2"},
		{what: "a listening app to a background app", before: []string{"listen=80"}, want: "write, reload, replace 1 2, close shop"},
		{
			what: "another port", before: []string{"listen=80"}, after: []string{"listen=81", "i=3"},
			want: "write, stop-all, reload, start-all 1 2 3", reason: "shop.socket changes its address from 80 to 81",
		},
		{
			what: "two sockets for one dual-stack socket", before: []string{"listen=80"},
			after:  []string{"listen=[::]:80", "listen=0.0.0.0:80"},
			want:   "write, stop-all, reload, start-all 1 2",
			reason: "shop.socket changes its address from 80 to [::]:80 0.0.0.0:80 (IPv6 only)",
		},
		{
			what: "another name of a listener", before: []string{"listen=80", "listen=admin=81"},
			after: []string{"listen=80", "listen=adm=81"},
			want:  "write, stop-all, reload, start-all 1 2", reason: "81 goes to another socket unit, shop-adm.socket",
		},
		{
			what: "another name of the first listener", before: []string{"listen=80"}, after: []string{"listen=web=80"},
			want: "write, reload, replace 1 2",
		},
		{what: "a variable, stopped", stopped: true, after: []string{"env=1"}, want: "write, reload"},
		{what: "another port, stopped", stopped: true, before: []string{"listen=80"}, after: []string{"listen=81"}, want: "write, reload"},
		{what: "a variable, to be started", stopped: true, start: true, after: []string{"env=1"}, want: "write, reload, start-all 1 2"},
		{what: "a private journal", after: []string{"log=8000000"}, want: "write, reload, replace 1 2"},
		{what: "another limit of the journal", before: []string{"log=8000000"}, after: []string{"log=9000000"}, want: "write, journal"},
		{
			what: "another limit of the journal, stopped", stopped: true, before: []string{"log=8000000"}, after: []string{"log=9000000"},
			want: "write, journal",
		},
		{what: "the private journal removed", before: []string{"log=8000000"}, want: "write, reload, replace 1 2, end-journal"},
		{what: "nothing, to be started", stopped: true, start: true, want: "start-all 1 2"},
		{what: "nothing, stopped", stopped: true},
	}
	for _, tt := range tests {
		before, after := newApp(t, tt.before...), newApp(t, tt.after...)
		c := change{
			files: planChanges(t, before, after), from: before.Instances.N, to: after.Instances.N, running: !tt.stopped, start: tt.start,
		}
		steps, reason := c.steps()
		var words []string
		for _, s := range steps {
			words = append(words, s.String())
		}
		if got := strings.Join(words, ", "); got != tt.want {
			t.Errorf("%s: got the steps %s, want %s", tt.what, got, tt.want)
		}
		if reason != tt.reason {
			t.Errorf("%s: got the reason %q, want %q", tt.what, reason, tt.reason)
		}
	}
}

// TestStepsOfSourceOnly checks that an update needs no reload if only the source changes.
func TestStepsOfSourceOnly(t *testing.T) {
	c := change{files: []install.Change{
		{Op: install.Update, Path: "/etc/clusterctl/shop.yaml", Old: []byte("a"), New: []byte("b")},
		{Op: install.Keep, Path: "/etc/systemd/system/shop@.service", Old: []byte("a"), New: []byte("a")},
	}, from: 1, to: 1, running: true}
	if steps, reason := c.steps(); len(steps) != 1 || steps[0].kind != stepWrite || reason != "" {
		t.Errorf("got the steps %v, reason %q, want only a write", steps, reason)
	}
}

// TestFindChanged checks which instances an undo restarts or stops.
func TestFindChanged(t *testing.T) {
	since := time.Date(2026, 11, 26, 5, 0, 0, 0, time.UTC)
	r := undo{Session: &Session{Name: "shop"}, since: since, files: planChanges(t, newApp(t, "i=4"), newApp(t, "i=3", "env=1"))}
	before, after := since.Add(-time.Hour), since.Add(time.Second)
	state := func(i int, active control.Active, at time.Time) control.State {
		return control.State{Unit: units.Name("shop").Instance(i), Active: active, StateSince: at, ActiveSince: before}
	}
	changed, unlisted := r.findChanged([]control.State{
		state(1, control.ActiveRunning, after),
		state(2, control.ActiveRunning, before),
		state(3, control.Activating, after),
		state(4, control.Inactive, time.Time{}), // the new list omits it, and PID 1 has forgotten the time of the stop
		state(5, control.ActiveRunning, after),
		state(6, control.Inactive, after),
	}, 4)
	if fmt.Sprint(changed, unlisted) != "[1 3 4] [5]" {
		t.Errorf("got changed instances %v and unlisted instances %v, want [1 3 4] and [5]", changed, unlisted)
	}
}

func TestOutcomeText(t *testing.T) {
	for _, tt := range []struct {
		out  Outcome
		want string
	}{
		{Outcome{Name: "shop", Action: Unchanged}, "shop: unchanged"},
		{Outcome{Name: "shop", Action: Unchanged, Stopped: true}, "shop: unchanged; it stays stopped"},
		{Outcome{Name: "shop", Action: Failed, Changed: []string{"/x/a"}}, "shop: failed"},
		{
			Outcome{
				Name: "shop", Action: Updated, Changed: []string{"/x/a", "/x/b"},
				Instances: []InstanceResult{{Outcome: "reloaded"}, {Outcome: "started"}, {Outcome: "reloaded"}},
			},
			"shop: updated (a, b), 2 reloaded, 1 started",
		},
	} {
		if got := tt.out.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
