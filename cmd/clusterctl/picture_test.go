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

	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/outputschema"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/internal/trust"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

var updateGoldens = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
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

// sampleFacts are those of one instance.
func sampleFacts(conns int, cpu float64, memory int64, runs *inspect.Runs) instanceFacts {
	return instanceFacts{consumption{&cpu, &memory, inspect.FromCgroup}, &conns, runs}
}

// samples are apps in all kinds of trouble, as they were at the time of the world's clock.
func samples(t *testing.T, now time.Time) *appList {
	t.Helper()
	active := in(control.ActiveRunning)
	enabled := active
	enabled.FileState = "enabled"
	crash := &inspect.Runs{Failures: 9, Next: now.Add(1700 * time.Millisecond), Uptime: 310 * time.Millisecond, Result: "exit-code", Status: "exited/7"}
	again := in(control.Activating)
	again.Sub, again.Restarts = "start-pre", 12
	masked := in(control.Inactive)
	masked.Load = control.Masked
	l := &appList{}
	add := func(name units.Name, listen []units.Listener, f facts, states ...control.State) {
		a := units.App{Name: name, Command: []string{"/usr/bin/node", "server.js", "a b"}, Directory: "/srv/" + string(name), Listen: listen, Instances: units.Count{N: 4}}
		for i, u := range unitsOf(a, len(states)-1-len(a.Sockets())) {
			states[i].Unit = u
		}
		if f.listeners == nil {
			f.listeners = make([]*queueStatus, len(listen))
		}
		l.known = append(l.known, listedApp{app: a, listed: len(states) - 1 - len(a.Sockets())})
		l.states, l.facts = append(l.states, states), append(l.facts, f)
		l.apps = append(l.apps, summarise(a, states, f))
	}
	port := []units.Listener{{Port: 8080}}
	since := now.Add(-3*time.Hour - 12*time.Minute).Unix()
	add("shop", port, facts{queue: &queueStatus{3, 4096}, listeners: []*queueStatus{{3, 4096}}, connections: ptr(13), instances: []instanceFacts{
		sampleFacts(9, 31.25, 52<<20, nil), sampleFacts(4, 0, 51<<20, &inspect.Runs{Uptime: 90 * time.Second, Result: "signal", Status: "killed/SEGV"}), {runs: crash}, {},
	}}, enabled, active, up(1201, since, 0), up(1202, since, 2), again, inactive())
	add("blog", []units.Listener{{Name: "http", Port: 80}, {Name: "admin", Network: units.Unix, Path: "/run/blog-admin.sock"}}, facts{
		queue: &queueStatus{0, 8192}, connections: ptr(0), instances: []instanceFacts{sampleFacts(0, 0.04, 31<<20, nil), sampleFacts(0, 0, 1331<<20, nil)},
	}, active, active, active, up(871, now.Add(-50*time.Hour).Unix(), 0), up(873, now.Add(-50*time.Hour).Unix(), 0))
	add("looping", nil, facts{instances: []instanceFacts{{runs: crash}}}, active, again)
	add("tired", nil, facts{}, active, failed(units.GaveUpStatus))
	add("off", port, facts{}, in(control.Inactive), in(control.Inactive), inactive(), inactive())
	add("hidden", port, facts{}, active, active, up(1, since, 0), masked)
	add("small", port, facts{}, active, active, up(1, since, 0), skipped())
	add("slow", port, facts{instances: []instanceFacts{{runs: &inspect.Runs{}}}}, in(control.Activating), active, in(control.Activating))
	l.broken = []appStatus{{Name: "torn", State: "unknown", Problem: "torn.yaml:1: x\ntorn.yaml:2: y", Listen: []string{}, Instances: []instanceStatus{}}}
	return l
}

// TestPictures has the tables as people see them, on terminals of several widths and elsewhere.
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
					t.Errorf("%s, %d columns: a line of %d: %s", table, columns, n, line)
				}
			}
		}
	}
}

// detailsOf are the details of the samples.
func detailsOf(w *world, l *appList) []appDetails {
	var all []appDetails
	for i, a := range l.known {
		b := background{DropIns: []string{}, Drift: []drift{}, NeedReload: []string{}}
		slice := control.State{}
		if i == 0 {
			b = background{
				DropIns: []string{"/etc/systemd/system/shop@.service.d/override.conf"}, Suppressed: ptr(int64(120)),
				Unsafe: []guard.UnsafePath{{What: "env-file", Path: "/srv/shop/.env", Writers: []guard.Writer{
					{Path: "/srv/shop", Reason: trust.Group, Name: "devs", Users: []string{"ann", "bob"}},
					{Path: "/srv/shop/.env", Reason: trust.Everybody},
				}}},
				Drift:      []drift{{"/etc/systemd/system/shop.socket", "changed"}, {"/etc/systemd/system/shop@.service", "missing"}},
				NeedReload: []string{"shop.socket"},
			}
			slice.Limits = control.Limits{MemoryMax: 2 << 30, CPUQuota: 1500 * time.Millisecond, TasksMax: 400}
		}
		all = append(all, w.detail(a.app, l.apps[i], l.states[i], l.facts[i], slice, b))
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

// TestJSONIsDescribed: what the samples look like with --json is what the schema says.
func TestJSONIsDescribed(t *testing.T) {
	w := newWorld(t)
	l := samples(t, w.now())
	for _, by := range sortNames {
		if err := w.printJSON(l.document(by)); err != nil {
			t.Fatal(err)
		}
	}
	if err := outputschema.Check("ls", w.out.Bytes()); err != nil {
		t.Errorf("ls: %v\n%s", err, w.out.String())
	}
	w.out.Reset()
	for _, d := range detailsOf(w, l) {
		if err := w.printJSON(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := outputschema.Check("show", w.out.Bytes()); err != nil {
		t.Errorf("show: %v\n%s", err, w.out.String())
	}
	if w.do("version", "--json") != exitDone || outputschema.Check("version", w.out.Bytes()) != nil {
		t.Errorf("version: %s", w.out.String())
	}
	if w.do("ls", "--json") != exitDone || outputschema.Check("ls", w.out.Bytes()) != nil {
		t.Errorf("ls without apps: %s", w.out.String())
	}
	// Every command with --json has its entry.
	for _, cmd := range newApp(&env{stdout: io.Discard, stderr: io.Discard}).Commands {
		for _, f := range cmd.Flags {
			if f.Names()[0] != "json" || cmd.Name == "install" { // prints what show does
				continue
			}
			if has, err := outputschema.Has(cmd.Name); err != nil || !has {
				t.Errorf("%s --json is not in the schema: %v", cmd.Name, err)
			}
		}
	}
}

// TestWords: the state as people read it.
func TestWords(t *testing.T) {
	now := time.Unix(1000, 0)
	for want, s := range map[string]appStatus{
		"degraded 3/4":        {State: "degraded", Ready: 3, Wanted: 4},
		"running":             {State: "running", Ready: 4, Wanted: 4},
		"restarting":          {State: "restarting"},
		"restarting in 2 s":   {State: "restarting", NextRestart: ptr(now.Add(1200 * time.Millisecond))},
		"restarting in 30 s":  {State: "restarting", NextRestart: ptr(now.Add(30 * time.Second))},
		"restarting in 0.3 s": {State: "restarting", NextRestart: ptr(now.Add(300 * time.Millisecond))},
		"restarting in 0.1 s": {State: "restarting", NextRestart: ptr(now.Add(time.Millisecond))},
		"failed":              {State: "failed", NextRestart: ptr(now.Add(time.Hour))},
	} {
		if got := s.words(now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (appStatus{State: "restarting", NextRestart: &now}).words(now.Add(time.Second)); got != "restarting" {
		t.Errorf("%q", got)
	}
}

// TestInstance: what systemd and the shim say, put together.
func TestInstance(t *testing.T) {
	now := time.Unix(1000, 0)
	due := &inspect.Runs{Failures: 3, Next: now.Add(time.Second), Uptime: 2 * time.Second, Result: "exit-code", Status: "exited/1"}
	auto := restarting(7)
	auto.StateSince, auto.RestartDelay = now, 5*time.Second
	held := in(control.Activating)
	held.Sub, held.Restarts = "start-pre", 2
	first := in(control.Activating)
	first.Sub = "start-pre"
	adopted := in(control.Activating)
	adopted.Sub = "start"
	told := adopted
	told.Restarts, told.StatusText = 4, "waiting 337ms after 5 short runs, the last with exited/1"
	started := *due
	started.Next = time.Time{}
	masked := up(5, 1, 0)
	masked.Load = control.Masked
	for _, c := range []struct {
		about         string
		st            control.State
		runs          *inspect.Runs
		state         string
		next          time.Duration // -1: none
		exit, problem string
	}{
		{"RestartSec=", auto, nil, "restarting", 5 * time.Second, "exited with status 7", "exited with status 7"},
		{"RestartSec= is longer than the wait", auto, due, "restarting", 5 * time.Second, "exited with status 7", "exited with status 7"},
		{"held back before the program", held, due, "restarting", time.Second, "exited with status 1 after 2.0s", "exited with status 1 after 2.0s"},
		{"held back, and not ours to know", held, nil, "restarting", -1, "", ""},
		{"held back by the launcher", adopted, due, "restarting", time.Second, "exited with status 1 after 2.0s", "exited with status 1 after 2.0s"},
		{"held back by the launcher, and not ours to know", told, nil, "restarting", -1, "", ""},
		{"the first start", first, nil, "starting", -1, "", ""},
		{"starts slowly", adopted, &inspect.Runs{}, "starting", -1, "", ""},
		{"starts again, slowly", adopted, &started, "starting", -1, "exited with status 1 after 2.0s", ""},
		{"runs again", up(5, 900, 3), &started, "running", -1, "exited with status 1 after 2.0s", ""},
		{"masked while it runs", masked, nil, "running", -1, "it is masked", ""},
		{"stopped by hand", inactive(), due, "stopped", -1, "", ""},
		{"gave up", failed(units.GaveUpStatus), &inspect.Runs{GaveUp: true}, "gave up", -1, control.Explain(failed(units.GaveUpStatus)), control.Explain(failed(units.GaveUpStatus))},
		{
			"gave up after runs that are known", failed(units.GaveUpStatus), &inspect.Runs{GaveUp: true, Result: "exit-code", Status: "exited/7", Uptime: 2 * time.Second}, "gave up", -1,
			"exited with status 7 after 2.0s", control.Explain(failed(units.GaveUpStatus)),
		},
	} {
		got := instanceOf(1, c.st, instanceFacts{runs: c.runs})
		next := time.Duration(-1)
		if got.NextRestart != nil {
			next = got.NextRestart.Sub(now)
		}
		if got.State != c.state || next != c.next || got.LastExit != c.exit || got.Problem != c.problem {
			t.Errorf("%s: %+v, next in %v", c.about, got, next)
		}
	}
}

func TestSort(t *testing.T) {
	w := newWorld(t)
	l := samples(t, w.now())
	for by, want := range map[string]string{
		"name":        "blog hidden looping off shop slow small tired torn",
		"cpu":         "shop blog hidden looping off slow small tired torn",
		"memory":      "blog shop hidden looping off slow small tired torn",
		"connections": "shop blog hidden looping off slow small tired torn",
		"restarts":    "shop looping blog hidden off slow small tired torn",
		"uptime":      "blog hidden shop small looping off slow tired torn",
		"state":       "hidden shop tired looping blog small slow off torn",
	} {
		var got []string
		for _, a := range l.sorted(by) {
			got = append(got, string(a.Name))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", by, got, want)
		}
	}
	if first := l.sorted("memory")[1].Instances[0]; first.Instance != 1 {
		t.Errorf("%+v", first)
	}
	if first := l.sorted("restarts")[0].Instances[0]; first.Instance != 3 {
		t.Errorf("%+v", first)
	}
}

func TestBalance(t *testing.T) {
	one := func(state string, n *int) instanceStatus { return instanceStatus{State: state, Connections: n} }
	for _, c := range []struct {
		in   []instanceStatus
		want *balance
	}{
		{nil, nil},
		{[]instanceStatus{one("stopped", nil)}, nil},
		{[]instanceStatus{one("running", ptr(1)), one("running", nil)}, nil},
		{[]instanceStatus{one("running", ptr(0)), one("running", ptr(0))}, &balance{0, 0, 1}},
		{[]instanceStatus{one("running", ptr(6)), one("running", ptr(2)), one("failed", nil)}, &balance{6, 4, 1.5}},
	} {
		if got := balanceOf(c.in); (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%+v: %+v", c.in, got)
		}
	}
}

// TestUnevenSources: the sum of what was found in different ways is as good as the worst of them.
func TestUnevenSources(t *testing.T) {
	var sum consumption
	for _, source := range []string{inspect.FromCgroup, inspect.FromRSS, inspect.FromPSS} {
		sum.add(consumption{Memory: ptr(int64(5)), Source: source})
	}
	sum.add(consumption{CPU: ptr(1.5)})
	if *sum.Memory != 15 || sum.Source != inspect.FromRSS || *sum.CPU != 1.5 {
		t.Errorf("%+v", sum)
	}
}

func TestNumbers(t *testing.T) {
	for want, n := range map[string]int64{"0K": 0, "1K": 1 << 10, "999K": 999 << 10, "0.98M": 1003 << 10, "9.50M": 19 << 19, "52.0M": 52 << 20, "999M": 999 << 20, "1.50G": 3 << 29, "2.00T": 2 << 40} {
		if got := size(&n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for want, v := range map[string]float64{"0.0%": 0.04, "31.2%": 31.24, "99.9%": 99.94, "100%": 99.96, "345%": 345.4} {
		if got := percent(&v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if size(nil)+percent(nil)+number(nil)+(*queueStatus)(nil).String() != "----" {
		t.Error("what is not known is not a dash")
	}
}

// TestMeter: percent over the time between two marks; another cgroup of the same name, or too short a time, gives none.
func TestMeter(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1, 0)
	m := &meter{host: inspect.Host{Cgroups: dir}, now: func() time.Time { return now }, before: map[string]cpuMark{}}
	use := func(text string) {
		t.Helper()
		if err := os.MkdirAll(dir+"/a", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/a/cpu.stat", []byte("usage_usec "+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	states := []control.State{{ControlGroup: "/a"}, {ControlGroup: "/gone"}, {}}
	use("1000000")
	if got := m.mark(states); len(got) != 0 {
		t.Errorf("%v", got)
	}
	now = now.Add(2 * time.Second)
	use("1500000")
	if got := m.mark(states); len(got) != 1 || got["/a"] != 25 {
		t.Errorf("%v", got)
	}
	now = now.Add(time.Millisecond)
	use("9500000")
	if got := m.mark(states); got["/a"] != 25 {
		t.Errorf("a millisecond later: %v", got)
	}
	now = now.Add(time.Second)
	use("10")
	if got := m.mark(states); len(got) != 0 {
		t.Errorf("it was started again: %v", got)
	}
}

// TestMeterBegins: before systemd is asked, the meter looks where our units put the instances; what runs elsewhere is not covered.
func TestMeterBegins(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1, 0)
	m := &meter{host: inspect.Host{Cgroups: dir}, now: func() time.Time { return now }, before: map[string]cpuMark{}}
	const one = `/clusterctl.slice/clusterctl-my\x2dapp.slice/my-app@1.service`
	use := func(text string) {
		t.Helper()
		if err := os.MkdirAll(dir+one, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+one+"/cpu.stat", []byte("usage_usec "+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	use("1000000")
	m.begin([]listedApp{{app: units.App{Name: "my-app"}, listed: 2}})
	states := []control.State{{ControlGroup: one}, {}}
	if !m.covers(states) {
		t.Error("what runs where our unit puts it is not covered")
	}
	if m.covers(append(states, control.State{ControlGroup: "/elsewhere.slice/my-app@2.service"})) {
		t.Error("a slice of somebody's own is covered")
	}
	now = now.Add(time.Second)
	use("1500000")
	if got := m.mark(states); len(got) != 1 || got[one] != 50 {
		t.Errorf("%v", got)
	}
}

func TestVariable(t *testing.T) {
	for in, want := range map[string]string{
		"A=1": "1", "PASSWORD=x": stars, "db_password=x": stars, "DBPASSWORD=x": stars, "API_KEY=x": stars, "KEY=x": stars, "TOKEN=": "", "TOKEN=a=b": stars,
		"KEYBOARD=us": "us", "MONKEY=1": "1", "PWD=/srv": "/srv", "DB_PWD=x": stars, "CREDENTIALS_DIRECTORY=/run/c": "/run/c", "SSH_AUTH_SOCK=/run/s": "/run/s",
		"URL=postgres://joe:hunter2@db/x?y=1": "postgres://joe:" + stars + "@db/x?y=1", "SITE=http://example.org:80/a@b": "http://example.org:80/a@b", "AUTHOR=joe": "joe",
		"SECRETS=x": stars, "AWS_SECRET_ACCESS_KEY=x": stars, "SESSION_COOKIE=x": stars, "TOKENIZER=x": "x", "PASSENGER=x": "x",
	} {
		name, value, _ := strings.Cut(in, "=")
		if got := variable(in, false); got.Name != name || got.Value != want || got.Masked != (want != value) {
			t.Errorf("%s: %+v", in, got)
		}
		if got := variable(in, true); got.Value != value || got.Masked {
			t.Errorf("%s, shown: %+v", in, got)
		}
	}
}

func TestPrintEnv(t *testing.T) {
	w := newWorld(t)
	one := instanceEnv{
		Unit: "web@1.service", Instance: 1, Variables: []envVariable{variable("A=x y", false), variable("B=\x1b[2Jz", false), variable("KEY=k", false)},
		Files: []envFile{{Path: "/etc/a b", Optional: true}, {Path: "/etc/c"}, {Path: "/srv/.env", ByWorker: true}},
	}
	w.printEnv(one)
	if want := "# and from '/etc/a b' (read at each start, may be missing)\n# and from /etc/c (read at each start)\n# and from /srv/.env (read at each start, as the user of the app)\nA='x y'\nB='\x1b[2Jz'\nKEY=********\n"; w.out.String() != want {
		t.Errorf("%q", w.out.String())
	}
	w.out.Reset()
	w.stdoutTTY = true
	if w.printEnv(one); strings.Contains(w.out.String(), "\x1b") {
		t.Errorf("%q", w.out.String())
	}
	data, err := json.Marshal(map[string]any{"schema": 1, "instances": []instanceEnv{one}})
	if err == nil {
		err = outputschema.Check("env", data)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestScreen: in place on a terminal and restored at the end, one below the other elsewhere.
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
			t.Errorf("%q, want %q", w.out.String(), want)
		}
	}
}

// TestColours only where they are wanted, and without changing the width.
func TestColours(t *testing.T) {
	g := &text.Grid{Columns: []text.Column{{Title: "STATE"}, {Title: "N"}}}
	g.Row(text.Bad, 0, "bad\x1b[0m", "1")
	var plain, coloured bytes.Buffer
	if g.Write(&plain, 0, false) != nil || g.Write(&coloured, 0, true) != nil {
		t.Fatal("not written")
	}
	if plain.String() != "STATE    N\nbad\uFFFD[0m  1\n" || coloured.String() != "STATE    N\n\x1b[31mbad\uFFFD[0m\x1b[0m  1\n" {
		t.Errorf("%q, %q", plain.String(), coloured.String())
	}
}

// TestAdd: an app that is named twice is listed once.
func TestAdd(t *testing.T) {
	var l appList
	a, b := units.App{Name: "a"}, units.App{Name: "b"}
	for _, one := range []target{{app: a, listed: 4, instance: 2}, {app: b, listed: 2}, {app: a, listed: 4, instance: 3}, {app: b, listed: 2, instance: 1}} {
		l.add(one)
	}
	if len(l.known) != 2 || len(l.known[0].only) != 2 || l.known[1].only != nil || len(l.units()) != 5+3 {
		t.Errorf("%+v", l.known)
	}
	l.add(target{app: a, listed: 4})
	if l.known[0].only != nil {
		t.Errorf("%+v", l.known)
	}
}
