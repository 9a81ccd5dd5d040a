package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/outputschema"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

var updateGoldens = flag.Bool("update", false, "write the golden files")

// The function golden compares an output with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateGoldens {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s: %v, got:\n%s\nwant:\n%s", name, err, got, want)
	}
}

func ptr[T any](v T) *T { return &v }

func up(pid int, since int64, restarts int) control.State {
	return control.State{Load: control.Loaded, Active: control.ActiveRunning, Sub: "running", Result: "success",
		MainPID: pid, Restarts: restarts, ActiveSince: time.Unix(since, 0), StatusText: "ready"}
}

func failedState(status int) control.State {
	return control.State{Load: control.Loaded, Active: control.ActiveFailed, Sub: "failed", Result: "exit-code",
		ExecMainCode: 1, ExecMainStatus: status, StatusText: "old"}
}

func inactive() control.State {
	return control.State{Load: control.Loaded, Active: control.Inactive, Sub: "dead", Result: "success", StatusText: "old"}
}

func skippedState() control.State {
	s := inactive()
	s.ConditionSince = time.Unix(1, 0)
	return s
}

func stateIn(active control.Active) control.State {
	return control.State{Load: control.Loaded, Active: active, Result: "success"}
}

// sampleFacts returns the figures of an instance, such as its memory.
func sampleFacts(conns int, cpu float64, memory int64, runs *inspect.Runs) status.InstanceFacts {
	return status.InstanceFacts{Usage: status.Usage{CPU: &cpu, Memory: &memory, Source: inspect.FromCgroup},
		Connections: &conns, Runs: runs}
}

// The function samples returns the status of apps with all kinds of problems. The parameter now is the time of this status.
func samples(t *testing.T, now time.Time) *status.List {
	t.Helper()
	active := stateIn(control.ActiveRunning)
	enabled := active
	enabled.FileState = "enabled"
	crash := &inspect.Runs{Failures: 9, Next: now.Add(1700 * time.Millisecond), Uptime: 310 * time.Millisecond,
		Result: "exit-code", Status: "exited/7"}
	again := stateIn(control.Activating)
	again.Sub, again.Restarts = "start-pre", 12
	masked := stateIn(control.Inactive)
	masked.Load = control.Masked
	l := &status.List{}
	add := func(name units.Name, listen []units.Listener, f status.Facts, states ...control.State) {
		a := units.App{Name: name, Command: []string{"/usr/bin/node", "server.js", "a b"}, Directory: "/srv/" + string(name),
			Listen: listen, Instances: units.Count{N: 4}}
		for i, u := range status.Units(a, len(states)-1-len(a.Sockets())) {
			states[i].Unit = u
		}
		if f.Listeners == nil {
			f.Listeners = make([]*status.Queue, len(listen))
		}
		l.Add(a, len(states)-1-len(a.Sockets()), 0)
		l.States, l.Facts = append(l.States, states), append(l.Facts, f)
		l.Apps = append(l.Apps, status.Summarise(a, states, f))
	}
	port := []units.Listener{{Port: 8080}}
	since := now.Add(-3*time.Hour - 12*time.Minute).Unix()
	add("shop", port, status.Facts{Queue: &status.Queue{Depth: 3, Limit: 4096}, Listeners: []*status.Queue{{Depth: 3, Limit: 4096}},
		Connections: ptr(13), Instances: []status.InstanceFacts{
			sampleFacts(9, 31.25, 52<<20, nil),
			sampleFacts(4, 0, 51<<20, &inspect.Runs{Uptime: 90 * time.Second, Result: "signal", Status: "killed/SEGV"}), {Runs: crash}, {},
		}}, enabled, active, up(1201, since, 0), up(1202, since, 2), again, inactive())
	add("blog", []units.Listener{{Name: "http", Port: 80}, {Name: "admin", Network: units.Unix, Path: "/run/blog-admin.sock"}},
		status.Facts{
			Queue: &status.Queue{Depth: 0, Limit: 8192}, Connections: ptr(0),
			Instances: []status.InstanceFacts{sampleFacts(0, 0.04, 31<<20, nil), sampleFacts(0, 0, 1331<<20, nil)},
		}, active, active, active, up(871, now.Add(-50*time.Hour).Unix(), 0), up(873, now.Add(-50*time.Hour).Unix(), 0))
	add("looping", nil, status.Facts{Instances: []status.InstanceFacts{{Runs: crash}}}, active, again)
	add("tired", nil, status.Facts{}, active, failedState(contract.StatusGaveUp))
	add("off", port, status.Facts{}, stateIn(control.Inactive), stateIn(control.Inactive), inactive(), inactive())
	add("hidden", port, status.Facts{}, active, active, up(1, since, 0), masked)
	add("small", port, status.Facts{}, active, active, up(1, since, 0), skippedState())
	add("slow", port, status.Facts{Instances: []status.InstanceFacts{{Runs: &inspect.Runs{}}}}, stateIn(control.Activating),
		active, stateIn(control.Activating))
	l.Broken = []status.App{{Name: "torn", State: "unknown", Problem: "torn.yaml:1: x\ntorn.yaml:2: y", Listen: []string{},
		Instances: []status.Instance{}}}
	return l
}

// TestPictures compares the tables of ls with golden files, for several widths of the terminal and for a file as output.
func TestPictures(t *testing.T) {
	w := newWorld(t)
	w.stdoutTTY = true
	l := samples(t, w.now())
	for name, columns := range map[string]int{"wide": 200, "80": 80, "60": 60, "pipe": 0} {
		w.stdoutTTY = columns > 0
		w.terminal = func() (int, int) { return columns, 24 }
		for table, o := range map[string]lsOptions{"ls": {sort: "name"}, "instances": {sort: "name", all: true}} {
			var out bytes.Buffer
			if err := w.printApps(&out, l, o, false); err != nil {
				t.Fatal(err)
			}
			golden(t, table+"-"+name+".golden", out.String())
			if columns == 0 {
				continue
			}
			for line := range strings.Lines(out.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
					t.Errorf("%s, %d columns: got a line of %d: %s", table, columns, n, line)
				}
			}
		}
	}
}

// detailsOf returns the details of the samples.
func detailsOf(w *world, l *status.List) []status.Details {
	var all []status.Details
	for i, a := range l.Known {
		b := status.Audit{DropIns: []string{}, Drift: []status.Drift{}, NeedReload: []string{}}
		slice := control.State{}
		if i == 0 {
			b = status.Audit{
				DropIns: []string{"/etc/systemd/system/shop@.service.d/override.conf"}, Suppressed: ptr(int64(120)),
				Unsafe: []guard.UnsafePath{{What: "env-file", Path: "/srv/shop/.env", Writers: []guard.Writer{
					{Path: "/srv/shop", Reason: trust.Group, Name: "devs", Users: []string{"ann", "bob"}},
					{Path: "/srv/shop/.env", Reason: trust.Everybody},
				}}},
				Drift: []status.Drift{{Path: "/etc/systemd/system/shop.socket", What: "changed"},
					{Path: "/etc/systemd/system/shop@.service", What: "missing"}},
				NeedReload: []string{"shop.socket"},
			}
			slice.Limits = control.Limits{MemoryMax: 2 << 30, CPUQuota: 1500 * time.Millisecond, TasksMax: 400}
		}
		all = append(all, status.Describe(a.App, l.Apps[i], l.States[i], l.Facts[i], slice, b, w.store.SourcePath(a.App.Name)))
	}
	return all
}

func TestShowPicture(t *testing.T) {
	w := newWorld(t)
	w.store.Config = "/etc/clusterctl"
	for name, columns := range map[string]int{"wide": 200, "80": 80} {
		w.stdoutTTY, w.terminal = true, func() (int, int) { return columns, 24 }
		var out bytes.Buffer
		if err := w.printAll(&out, detailsOf(w, samples(t, w.now()))[:2]); err != nil {
			t.Fatal(err)
		}
		golden(t, "show-"+name+".golden", out.String())
	}
}

// TestJSONIsDescribed checks that the JSON output for the samples matches the schema.
func TestJSONIsDescribed(t *testing.T) {
	w := newWorld(t)
	l := samples(t, w.now())
	for _, by := range status.SortKeys {
		if err := w.printList(list{Apps: l.Sorted(by)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := outputschema.Check("ls", w.out.Bytes()); err != nil {
		t.Errorf("ls: got error %v\nstdout %s", err, w.out.String())
	}
	w.out.Reset()
	for _, d := range detailsOf(w, l) {
		if err := w.printJSON(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := outputschema.Check("show", w.out.Bytes()); err != nil {
		t.Errorf("show: got error %v\nstdout %s", err, w.out.String())
	}
	if w.do("version", "--json") != exitDone || outputschema.Check("version", w.out.Bytes()) != nil {
		t.Errorf("version: got stdout %s", w.out.String())
	}
	if w.do("ls", "--json") != exitDone || outputschema.Check("ls", w.out.Bytes()) != nil {
		t.Errorf("ls without apps: got stdout %s", w.out.String())
	}
	// Every command with --json has an entry in the schema.
	for _, cmd := range newApp(&env{stdout: io.Discard, stderr: io.Discard}).Commands {
		for _, f := range cmd.Flags {
			if f.Name != "json" || cmd.Name == "install" { // "install --json" prints the same as "show --json"
				continue
			}
			if has, err := outputschema.Has(cmd.Name); err != nil || !has {
				t.Errorf("the schema has no entry for %s --json: %v", cmd.Name, err)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for want, n := range map[string]int64{"0K": 0, "1K": 1 << 10, "999K": 999 << 10, "0.98M": 1003 << 10, "9.50M": 19 << 19,
		"52.0M": 52 << 20, "999M": 999 << 20, "1.50G": 3 << 29, "2.00T": 2 << 40} {
		if got := size(&n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for want, v := range map[string]float64{"0.0%": 0.04, "31.2%": 31.24, "99.9%": 99.94, "100%": 99.96, "345%": 345.4} {
		if got := percent(&v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
	if size(nil)+percent(nil)+number(nil)+(*status.Queue)(nil).String() != "----" {
		t.Error("got no \"-\" for an unknown value")
	}
}

func TestPrintEnv(t *testing.T) {
	w := newWorld(t)
	one := status.Environment{
		Unit: "web@1.service", Instance: 1, Variables: []status.Variable{{Name: "A", Value: "x y"},
			{Name: "B", Value: "\x1b[2Jz"}, {Name: "KEY", Value: mask.Stars, Masked: true}},
		Files: []status.EnvironmentFile{{Path: "/etc/a b", Optional: true}, {Path: "/etc/c"}, {Path: "/srv/.env", ByWorker: true}},
	}
	w.printEnv(one)
	if want := "# systemd reads more variables from '/etc/a b' at each start, if the file exists\n" +
		"# systemd reads more variables from /etc/c at each start\n" +
		"# the user of the app reads more variables from /srv/.env at each start\n" +
		"A='x y'\nB='\x1b[2Jz'\nKEY=********\n"; w.out.String() != want {
		t.Errorf("got stdout %q", w.out.String())
	}
	w.out.Reset()
	w.stdoutTTY = true
	if w.printEnv(one); strings.Contains(w.out.String(), "\x1b") {
		t.Errorf("got stdout %q", w.out.String())
	}
	data, err := json.Marshal(map[string]any{"schema": 1, "instances": []status.Environment{one}})
	if err == nil {
		err = outputschema.Check("env", data)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestScreen checks that the type screen replaces the text on a terminal, and then restores the terminal. In a file, one
// text follows the other.
func TestScreen(t *testing.T) {
	w := newWorld(t)
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	for _, tty := range []bool{false, true} {
		w.out.Reset()
		w.stdoutTTY, w.terminal = tty, func() (int, int) { return 80, 3 }
		s := &screen{e: w.env}
		for _, one := range []string{"a\nb\nc\n", "d\n"} {
			if err := s.draw(text(one)); err != nil {
				t.Fatal(err)
			}
		}
		s.restore()
		want := "a\nb\nc\n\nd\n"
		if tty {
			want = "\x1b[?1049h\x1b[?25l\x1b[Ha\x1b[K\r\nb\x1b[K\r\n\x1b[J\x1b[Hd\x1b[K\r\n\x1b[J\x1b[?25h\x1b[?1049l"
		}
		if w.out.String() != want {
			t.Errorf("got %q, want %q", w.out.String(), want)
		}
	}
}

// TestColours checks that a table has colours only if its caller wants them, and that colours do not change the width of the
// table.
func TestColours(t *testing.T) {
	g := &text.Grid{Columns: []text.Column{{Title: "STATE"}, {Title: "N"}}}
	g.Row(text.Bad, 0, "bad\x1b[0m", "1")
	var plain, coloured bytes.Buffer
	if g.Write(&plain, 0, false) != nil || g.Write(&coloured, 0, true) != nil {
		t.Fatal("Write returned an error")
	}
	if plain.String() != "STATE    N\nbad\uFFFD[0m  1\n" || coloured.String() != "STATE    N\n\x1b[31mbad\uFFFD[0m\x1b[0m  1\n" {
		t.Errorf("got %q without colours, %q with colours", plain.String(), coloured.String())
	}
}

// TestListenText checks that "(own)" follows the addresses that the instances of an app open themselves.
func TestListenText(t *testing.T) {
	own := []string{"3000", "127.0.0.1:9229"}
	for want, a := range map[string]status.App{
		"3000 127.0.0.1:9229 (own)": {OwnListen: own},
		"80":                        {Listen: []string{"80"}, OwnListen: own},
		"-":                         {},
	} {
		if got := listenText(a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
