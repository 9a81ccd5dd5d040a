package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Instances in the states in which systemd has them.
func up(pid int, since int64, restarts int) control.State {
	return control.State{Load: control.Loaded, Active: control.ActiveRunning, Sub: "running", Result: "success", MainPID: pid, Restarts: restarts, ActiveSince: time.Unix(since, 0), StatusText: "ready"}
}

func restarting(status int) control.State {
	return control.State{Load: control.Loaded, Active: control.Activating, Sub: "auto-restart", Result: "exit-code", ExecMainCode: 1, ExecMainStatus: status, Restarts: 3, StatusText: "dead"}
}

func failed(status int) control.State {
	return control.State{Load: control.Loaded, Active: control.ActiveFailed, Sub: "failed", Result: "exit-code", ExecMainCode: 1, ExecMainStatus: status, StatusText: "old"}
}

func inactive() control.State {
	return control.State{Load: control.Loaded, Active: control.Inactive, Sub: "dead", Result: "success", StatusText: "old"}
}

func skipped() control.State {
	s := inactive()
	s.ConditionSince = time.Unix(1, 0)
	return s
}

func masked() control.State {
	s := inactive()
	s.Load = control.Masked
	return s
}

func finished() control.State {
	s := inactive()
	s.ExecMainCode = 1
	return s
}

func in(active control.Active) control.State {
	return control.State{Load: control.Loaded, Active: active, Result: "success"}
}

func TestInstanceState(t *testing.T) {
	for want, states := range map[string][]control.State{
		"running":    {up(1, 1, 0), in(control.Reloading), in(control.Refreshing)},
		"restarting": {restarting(1), {Active: control.Activating, Sub: "auto-restart-queued"}},
		"starting":   {in(control.Activating)},
		"stopping":   {in(control.Deactivating)},
		"failed":     {failed(1), {Active: control.ActiveFailed, Result: "signal", ExecMainStatus: units.GaveUpStatus}},
		"gave up":    {failed(units.GaveUpStatus)},
		"skipped":    {skipped()},
		"stopped":    {inactive(), {}, {Load: control.NotFound, Active: control.Inactive}, {Active: control.ActiveFailed, Result: "signal", PreCode: 2, PreStatus: 15}},
	} {
		for _, s := range states {
			if got := instanceState(s, nil); got != want {
				t.Errorf("%+v: %s, want %s", s, got, want)
			}
		}
	}
}

func TestSummarise(t *testing.T) {
	socket := []units.Listener{{Port: 8080}, {Name: "admin", Port: 9000}}
	active, dead := in(control.ActiveRunning), in(control.Inactive)
	brokenSocket := control.State{Load: control.Loaded, Active: control.ActiveFailed, Result: "resources", Listen: []string{"[::]:8080"}}
	for _, c := range []struct {
		about         string
		aggregate     control.State
		sockets       []control.State
		instances     []control.State
		state         string
		ready, wanted int
		problem       string
	}{
		{"all run", active, nil, []control.State{up(10, 50, 1), up(11, 40, 2)}, "running", 2, 2, ""},
		{"above the number of CPUs", active, nil, []control.State{up(10, 50, 0), skipped(), skipped()}, "running", 1, 1, ""},
		{"one crashes", active, nil, []control.State{up(10, 50, 0), restarting(7)}, "degraded", 1, 2, "web@2.service: exited with status 7"},
		{"all crash", active, nil, []control.State{restarting(1), restarting(2)}, "restarting", 0, 2, "web@1.service: exited with status 1"},
		{"stopped", dead, []control.State{dead, dead}, []control.State{inactive(), inactive()}, "stopped", 0, 2, ""},
		{"starting", in(control.Activating), []control.State{active, active}, []control.State{in(control.Activating)}, "starting", 0, 1, ""},
		{"half started", in(control.Activating), nil, []control.State{up(1, 1, 0), in(control.Activating)}, "degraded", 1, 2, ""},
		{"stopping", in(control.Deactivating), nil, []control.State{in(control.Deactivating)}, "stopping", 0, 1, ""},
		{"finished", active, nil, []control.State{finished(), finished()}, "stopped", 0, 2, ""},
		{"given up", active, nil, []control.State{failed(units.GaveUpStatus), failed(units.GaveUpStatus)}, "gave up", 0, 2, "web@1.service: "},
		{"one has given up", active, nil, []control.State{failed(units.GaveUpStatus), up(3, 9, 0)}, "degraded", 1, 2, "web@1.service: "},
		{"the port is taken", dead, []control.State{active, brokenSocket}, []control.State{inactive()}, "failed", 0, 1, "web-admin.socket: it could not listen"},
		{"one is masked", active, nil, []control.State{masked(), up(3, 9, 0)}, "degraded", 1, 2, "web@1.service: it is masked"},
		{"all are masked", active, nil, []control.State{masked(), masked()}, "failed", 0, 2, "web@1.service: it is masked"},
		{"stopped, and one is masked", dead, nil, []control.State{inactive(), masked()}, "stopped", 0, 2, ""},
		{"one is skipped, the others crash", active, nil, []control.State{restarting(1), skipped()}, "restarting", 0, 1, "web@1.service: exited with status 1"},
		{"gave up, and one is skipped", active, nil, []control.State{failed(units.GaveUpStatus), skipped()}, "gave up", 0, 1, "web@1.service: "},
		{"all start again", active, nil, []control.State{in(control.Activating)}, "starting", 0, 1, ""},
		{"the socket was stopped by hand", active, []control.State{dead, active}, []control.State{up(1, 1, 0)}, "degraded", 1, 1, "web.socket: it does not listen"},
		{"stopped while a worker failed", dead, nil, []control.State{failed(1), inactive()}, "stopped", 0, 2, "web@1.service: exited with status 1"},
	} {
		t.Run(c.about, func(t *testing.T) {
			a := units.App{Name: "web"}
			if c.sockets != nil {
				a.Listen = socket
			}
			states := slices.Concat([]control.State{c.aggregate}, c.sockets, c.instances)
			for i, unit := range unitsOf(a, len(c.instances)) {
				states[i].Unit = unit
			}
			s := summarise(a, states, facts{})
			if s.State != c.state || s.Ready != c.ready || s.Wanted != c.wanted || !strings.HasPrefix(s.Problem, c.problem) || c.problem == "" && s.Problem != "" {
				t.Errorf("%+v", s)
			}
			if len(s.Instances) != len(c.instances) {
				t.Errorf("%d instances", len(s.Instances))
			}
			for _, i := range s.Instances {
				// A worker that has ended says nothing any more.
				if (i.Status == "ready") != (i.State == "running" && i.PID > 0) && i.State != "starting" && i.State != "stopping" && i.State != "restarting" {
					t.Errorf("%+v", i)
				}
				if i.State == "running" && i.Problem != "" {
					t.Errorf("%+v", i)
				}
			}
			data, err := json.Marshal(s)
			if err != nil || strings.Contains(string(data), "null") {
				t.Errorf("%s, %v", data, err)
			}
		})
	}
	s := summarise(units.App{Name: "web"}, []control.State{active, up(10, 50, 1), up(11, 40, 2)}, facts{})
	if s.Restarts != 3 || s.Since == nil || s.Since.Unix() != 40 || s.Instances[1].PID != 11 || s.Instances[1].Instance != 2 {
		t.Errorf("%+v", s)
	}
	if s := summarise(units.App{Name: "web", Listen: socket}, []control.State{active, active, active}, facts{}); strings.Join(s.Listen, " ") != "8080 admin=9000" {
		t.Errorf("%q", s.Listen)
	}
}

// TestLs: what can be said without systemd: no apps, a damaged one among others, and that systemd is missing.
func TestLs(t *testing.T) {
	w := newWorld(t)
	if code := w.do("ls"); code != exitDone || w.out.Len() > 0 || !strings.Contains(w.err.String(), "no apps yet") {
		t.Errorf("%d, %q, %q", code, w.out.String(), w.err.String())
	}
	if code := w.do("-q", "ls"); code != exitDone || w.out.Len()+w.err.Len() > 0 {
		t.Errorf("%d, %q, %q", code, w.out.String(), w.err.String())
	}
	var list struct {
		Schema int
		Apps   []appStatus
	}
	if code := w.do("ls", "--json"); code != exitDone || json.Unmarshal(w.out.Bytes(), &list) != nil || list.Schema != 1 || list.Apps == nil {
		t.Errorf("%d, %q", code, w.out.String())
	}

	w.file(t, "config/bad.yaml", "name: bad\nbogus: 1\n", 0o644)
	w.installed(t, "gone", 2)
	if err := os.Remove(filepath.Join(w.store.Units, "gone.service.d/50-instances.conf")); err != nil {
		t.Fatal(err)
	}
	if code := w.do("ls"); code == exitDone || !strings.Contains(w.out.String(), "bad   0/0    -           -      -    -    -         0       -  unknown  ") ||
		!strings.Contains(w.err.String(), "bad.yaml:2: bogus: ") || !strings.Contains(w.err.String(), "the instance list of gone") {
		t.Errorf("%d\n%s%s", code, w.out.String(), w.err.String())
	}
	if code := w.do("ls", "--json"); code == exitDone || json.Unmarshal(w.out.Bytes(), &list) != nil || len(list.Apps) != 2 || list.Apps[0].State != "unknown" || list.Apps[0].Problem == "" {
		t.Errorf("%d, %q, %q", code, w.out.String(), w.err.String())
	}
	w.installed(t, "web", 2)
	if code := w.do("ls"); code != exitFailed && code != exitUsage || !strings.Contains(w.err.String(), "systemd is not running here") || w.out.Len() > 0 {
		t.Errorf("%d, %q, %q", code, w.out.String(), w.err.String())
	}
}

// TestCat prints the files as they are, edits of the administrator included.
func TestCat(t *testing.T) {
	w := newWorld(t)
	w.installed(t, "web", 2, units.Listener{Port: 8080})
	w.file(t, "units/web@.service.d/local.conf", "[Service]\nNice=5", 0o644)
	w.file(t, "units/web@.service.d/ignored.txt", "no", 0o644)
	if code := w.do("cat", "web"); code != exitDone || w.err.Len() > 0 {
		t.Fatalf("%d, %s", code, w.err.String())
	}
	out := w.out.String()
	at := 0
	for _, name := range []string{"config/web.yaml", "units/web.service", "units/web.service.d/50-instances.conf", "units/web@.service", "units/web@.service.d/local.conf", "units/clusterctl-web.slice", "units/web.socket"} {
		i := strings.Index(out[at:], "# "+filepath.Join(w.dir, name)+"\n")
		if i < 0 {
			t.Fatalf("%s is missing, or in another order:\n%s", name, out)
		}
		at += i
	}
	if !strings.Contains(out, "Nice=5\n") || strings.Contains(out, "ignored.txt") {
		t.Errorf("%s", out)
	}
}
