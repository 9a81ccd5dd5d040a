//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/outputschema"
)

// instanceStatus holds the fields of an instance in "clusterctl ls --json" and "clusterctl show --json" that the tests
// use.
type instanceStatus struct {
	Unit         string   `json:"unit"`
	Instance     int      `json:"instance"`
	State        string   `json:"state"`
	PID          int      `json:"pid"`
	Connections  *int     `json:"connections"`
	CPU          *float64 `json:"cpuPercent"`
	Memory       *int64   `json:"memoryBytes"`
	MemorySource string   `json:"memorySource"`
	Restarts     int      `json:"restarts"`
	NextRestart  string   `json:"nextRestart"`
	Problem      string   `json:"problem"`
	LastExit     string   `json:"lastExit"`
}

type queueStatus struct{ Depth, Limit int }

// appStatus holds the fields of an app in "clusterctl ls --json" and "clusterctl show --json" that the tests use.
type appStatus struct {
	Restarts     int              `json:"restarts"`
	Name         string           `json:"name"`
	State        string           `json:"state"`
	Ready        int              `json:"ready"`
	Wanted       int              `json:"wanted"`
	Queue        *queueStatus     `json:"queue"`
	Connections  *int             `json:"connections"`
	Memory       *int64           `json:"memoryBytes"`
	MemorySource string           `json:"memorySource"`
	Problem      string           `json:"problem"`
	Instances    []instanceStatus `json:"instances"`

	StartsAtBoot bool
	Listeners    []struct {
		Listen, Unit, State string
		Queue               *queueStatus
	}
	Balance *struct {
		Max     int
		MaxMean float64
	}
	Limits             *struct{ MemoryMaxBytes, TasksMax int64 }
	DropIns            []string
	Drift              []struct{ Path, What string }
	DriftUnknown       string
	NeedReload         []string
	SuppressedLogLines *int64
}

// listApps runs "clusterctl ls --json" and returns the apps in its output. If the output does not match the schema, the
// test fails.
func listApps(t testing.TB, m *kit.Machine, args ...string) []appStatus {
	t.Helper()
	return parseApps(t, m.Must(t, append([]string{"ls", "--json"}, args...)...).Stdout)
}

// parseApps returns the apps in the output of "clusterctl ls --json". If the output does not match the schema, the test
// fails.
func parseApps(t testing.TB, output string) []appStatus {
	t.Helper()
	if err := outputschema.Check("ls", []byte(output)); err != nil {
		t.Errorf("clusterctl ls --json: %v\n%s", err, output)
	}
	var l struct{ Apps []appStatus }
	if err := json.Unmarshal([]byte(output), &l); err != nil {
		t.Fatal(err)
	}
	return l.Apps
}

// parseApp returns the app in the output of "clusterctl show APP --json". If the output does not match the schema, the
// test fails.
func parseApp(t testing.TB, output string) appStatus {
	t.Helper()
	if err := outputschema.Check("show", []byte(output)); err != nil {
		t.Errorf("clusterctl show --json: %v\n%s", err, output)
	}
	var a appStatus
	if err := json.Unmarshal([]byte(output), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestListAndShow checks the output of ls, show and env on each release, as root and as an unprivileged user.
func TestListAndShow(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "see", 2, 8310, "--run-as", "dynamic", "--env", "GREETING=hello world",
			"--env", "API_TOKEN=t0ps3cret", "--", worker)
		m.Get(t, "http://127.0.0.1:8310/")
		t.Log(m.Must(t, "ls").Stdout, m.Must(t, "ls", "-a").Stdout, m.Must(t, "show", "see").Stdout)
		s := parseApp(t, m.Must(t, "show", "see", "--json").Stdout)
		if s.State != "running" || s.Ready != 2 || !s.StartsAtBoot || len(s.Listeners) != 1 ||
			s.Listeners[0].State != "listening" || s.Balance == nil ||
			s.SuppressedLogLines == nil || len(s.Drift)+len(s.DropIns)+len(s.NeedReload) > 0 || s.DriftUnknown != "" {
			t.Errorf("clusterctl show of a running app has an unexpected or missing value: %+v", s)
		}
		l := listApps(t, m, "see")[0]
		// The kernel may limit the queue to a somaxconn that is lower than Backlog=.
		if l.Queue == nil || l.Queue.Depth != 0 || l.Queue.Limit < 128 || l.Connections == nil || l.Memory == nil ||
			*l.Memory < 1<<20 || l.MemorySource == "rss" {
			t.Errorf("clusterctl ls of a running app has an unexpected or missing value: %+v", l)
		}
		for i, in := range l.Instances {
			if in.State != "running" || in.PID != a.PIDs(t)[i] || in.Connections == nil || in.CPU == nil ||
				in.Memory == nil || *in.Memory < 1<<20 {
				t.Errorf("clusterctl ls of a running instance has an unexpected or missing value: %+v", in)
			}
		}
		if one := listApps(t, m, "see@2")[0].Instances; len(one) != 1 || one[0].Instance != 2 {
			t.Errorf("clusterctl ls see@2: want only instance 2: %+v", one)
		}
		if in := listApps(t, m, "--no-cpu")[0].Instances[0]; in.CPU != nil {
			t.Errorf("clusterctl ls --no-cpu: want no cpuPercent: %+v", in)
		}
		checkAsNobody(t, m)
		checkEnv(t, m, a)
	})
}

// checkAsNobody runs ls, show and env as an unprivileged user. The output must contain all values except the values that
// only root can read.
func checkAsNobody(t *testing.T, m *kit.Machine) {
	t.Helper()
	l := parseApps(t, m.MustAsNobody(t, "ls", "--json").Stdout)[0]
	if l.State != "running" || l.Queue == nil || l.Connections == nil || l.Memory == nil {
		t.Errorf("clusterctl ls as an unprivileged user: want the state, the queue, the connections and the memory of the app: %+v",
			l)
	}
	for _, in := range l.Instances {
		if in.State != "running" || in.PID == 0 || in.Connections != nil || in.Memory == nil || in.CPU == nil {
			t.Errorf("clusterctl ls of an instance as an unprivileged user: want state, PID and CPU, no connections, no memory: %+v",
				in)
		}
	}
	out := m.MustAsNobody(t, "ls", "-a").Stdout
	for _, line := range kit.Lines(out)[1:] {
		if f := strings.Fields(line); len(f) < 8 || f[2] != "-" {
			t.Errorf("clusterctl ls -a as an unprivileged user: want \"-\" in the third column of each line:\n%s", out)
		}
	}
	s := parseApp(t, m.MustAsNobody(t, "show", "see", "--json").Stdout)
	if s.Balance != nil || s.SuppressedLogLines != nil || s.DriftUnknown != "" || s.Ready != 2 {
		t.Errorf("clusterctl show as an unprivileged user has an unexpected or missing value: %+v", s)
	}
	m.MustAsNobody(t, "show", "see")
	m.MustAsNobody(t, "env", "see")
	if r := m.Run(t.Context(), kit.AsNobody(kit.Ctl, "env", "see", "--running")...); r.Code != notAllowed ||
		!strings.Contains(r.Stderr, hint+"sudo clusterctl env see --running") {
		t.Errorf("clusterctl env --running as an unprivileged user: want exit status %d and a hint: %v", notAllowed, r)
	}
}

// checkEnv checks the output of env for the units and for the running processes, with masked and with shown secrets.
func checkEnv(t *testing.T, m *kit.Machine, a kit.App) {
	t.Helper()
	type environment struct {
		Instances []struct {
			Unit      string
			Running   bool
			Variables []struct {
				Name, Value string
				Masked      bool
			}
			Files []struct{ Path string }
		}
	}
	envOf := func(args ...string) map[string]string {
		t.Helper()
		out := m.Must(t, append([]string{"env", "--json"}, args...)...).Stdout
		if err := outputschema.Check("env", []byte(out)); err != nil {
			t.Errorf("clusterctl env --json: %v\n%s", err, out)
		}
		var e environment
		if err := json.Unmarshal([]byte(out), &e); err != nil || len(e.Instances) != 1 {
			t.Fatalf("clusterctl env --json: %v\n%s", err, out)
		}
		vars := map[string]string{"unit": e.Instances[0].Unit}
		for _, v := range e.Instances[0].Variables {
			vars[v.Name] = v.Value
		}
		return vars
	}
	if v := envOf("see@2"); v["unit"] != a.Unit(2) || v["GREETING"] != "hello world" || v["INSTANCE"] != "2" ||
		v["API_TOKEN"] != "********" || v["LISTEN_FDS"] != "" {
		t.Errorf("clusterctl env see@2 has an unexpected or missing variable: %v", v)
	}
	if v := envOf("see", "--running", "--show-secrets"); v["unit"] != a.Unit(1) || v["GREETING"] != "hello world" ||
		v["API_TOKEN"] != "t0ps3cret" || v["LISTEN_FDS"] != "1" {
		t.Errorf("clusterctl env see --running --show-secrets has an unexpected or missing variable: %v", v)
	}
	text := m.Must(t, "env", "see").Stdout
	if !strings.Contains(text, "GREETING='hello world'\n") || strings.Contains(text, "t0ps3cret") ||
		!strings.Contains(text, "API_TOKEN=********\n") {
		t.Errorf("clusterctl env see: want GREETING, and a masked API_TOKEN:\n%s", text)
	}
	// clusterctl env must include a variable that only a drop-in sets, and must print the path of an environment file.
	m.WriteFile(t, "/etc/see.env", "FROM_FILE=1\n", 0o600)
	m.WriteFile(t, "/etc/systemd/system/see@1.service.d/env.conf",
		"[Service]\nEnvironment=GREETING=bye MORE=too\nEnvironmentFile=-/etc/see.env\n", 0o644)
	t.Cleanup(func() { m.Sh(t, "rm -rf /etc/systemd/system/see@1.service.d /etc/see.env; systemctl daemon-reload") })
	m.Sh(t, "systemctl daemon-reload")
	if v := envOf("see"); v["GREETING"] != "hello world" || v["MORE"] != "too" || v["FROM_FILE"] != "" {
		t.Errorf("clusterctl env with a drop-in has an unexpected or missing variable: %v", v)
	}
	if text := m.Must(t, "env", "see").Stdout; !strings.HasPrefix(text,
		"# systemd reads more variables from /etc/see.env at each start, if the file exists\n") {
		t.Errorf("the first line of clusterctl env does not name the environment file:\n%s", text)
	}
	if s := parseApp(t, m.Must(t, "show", "see",
		"--json").Stdout); fmt.Sprint(s.DropIns) != "[/etc/systemd/system/see@1.service.d/env.conf]" {
		t.Errorf("clusterctl show: got the drop-ins %q, want only env.conf", s.DropIns)
	}
}
