package units_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/units"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txtar with the output of Render")

// goldenApp is the member app.json: an App in the syntax of the flags. The tests do not use the YAML syntax of package
// units/config, because they test only package units.
type goldenApp struct {
	Name        string
	Command     []string
	Directory   string
	RunAs       string `json:"run-as"`
	Instances   string
	Listen      []string
	Activation  string
	Ready       string
	Env         [][2]string // a list, because the unit keeps the order
	EnvFiles    []string    `json:"env-files"`
	WorkerFiles []string    `json:"worker-env-files"`
	SecretEnv   []string    `json:"secret-env"`
	Restart     string
	Sandbox     string
	Writable    []string
	Read, Allow []string
	Start       string
	Drain       string
	Stop        string
	MaxRestarts int    `json:"max-restarts"`
	MinUptime   string `json:"min-uptime"`
	Increment   [][2]string
	Pin         bool
	HoldAccept  bool `json:"hold-accept"`
	NoPreload   bool `json:"no-node-preload"`
	OwnPtrace   bool `json:"own-ptrace"`

	LogNamespace bool   `json:"log-namespace"`
	LogMaxSize   string `json:"log-max-size"`
	LogMaxAge    string `json:"log-max-age"`
	LogRate      string `json:"log-rate"`

	SocketMode  string `json:"socket-mode"`
	SocketUser  string `json:"socket-user"`
	SocketGroup string `json:"socket-group"`

	SocketOptions []string `json:"socket-options"`
}

// goldenTarget is the optional member target.json. The default is Debian 12 on a machine with 2 CPUs.
type goldenTarget struct {
	Systemd int
	CPUs    units.CPUs
	// The field Package means that the values of variables are in the template.
	Package bool
	Secrets []units.Secret
}

func (g goldenApp) app() (units.App, error) {
	a := units.App{Name: units.Name(g.Name), Command: g.Command, Directory: g.Directory, Writable: g.Writable,
		Reads: g.Read, SecretEnv: g.SecretEnv}
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	for _, s := range g.Allow {
		w, err := units.ParseAllowance(s)
		note(err)
		a.Allow = append(a.Allow, w)
	}
	if g.RunAs != "" {
		a.RunAs.User, a.RunAs.Group, _ = strings.Cut(g.RunAs, ":")
	}
	if g.Instances != "" {
		a.Instances, err = units.ParseCount(g.Instances)
		note(err)
	}
	for _, s := range g.Listen {
		l, err := units.ParseListener(s)
		note(err)
		a.Listen = append(a.Listen, l)
	}
	if g.Activation != "" {
		a.Activation, err = units.ParseActivation(g.Activation)
		note(err)
	}
	if g.Ready != "" {
		a.Ready, err = units.ParseReady(g.Ready)
		note(err)
	}
	if g.Restart != "" {
		a.Restart, err = units.ParseRestart(g.Restart)
		note(err)
	}
	if g.Sandbox != "" {
		a.Sandbox, err = units.ParseSandbox(g.Sandbox)
		note(err)
	}
	for _, e := range g.Env {
		a.Env = append(a.Env, units.EnvVar{Name: e[0], Value: e[1]})
	}
	for i, f := range slices.Concat(g.EnvFiles, g.WorkerFiles) {
		p, optional := strings.CutPrefix(f, "-")
		a.EnvFiles = append(a.EnvFiles, units.EnvFile{Path: p, Optional: optional, ByWorker: i >= len(g.EnvFiles)})
	}
	a.Logs = units.Logs{Namespace: g.LogNamespace, MaxAge: duration(g.LogMaxAge, note)}
	if g.LogRate != "" {
		a.Logs.Rate, err = units.ParseLogRate(g.LogRate)
		note(err)
	}
	a.Socket = units.SocketAccess{User: g.SocketUser, Group: g.SocketGroup}
	if g.SocketMode != "" {
		a.Socket.Mode, err = units.ParseSocketMode(g.SocketMode)
		note(err)
	}
	for _, o := range g.SocketOptions {
		option, err := units.ParseSocketOption(o)
		note(err)
		a.SocketOptions = append(a.SocketOptions, option)
	}
	if g.LogMaxSize != "" {
		a.Logs.MaxSize, err = units.ParseSize(g.LogMaxSize)
		note(err)
	}
	a.Timeouts = units.Timeouts{Start: duration(g.Start, note), Drain: duration(g.Drain, note), Stop: duration(g.Stop, note)}
	a.Shim = units.ShimOptions{
		MaxRestarts: g.MaxRestarts, MinUptime: duration(g.MinUptime, note), Pin: g.Pin,
		HoldAccept: g.HoldAccept, NoNodePreload: g.NoPreload, OwnPtrace: g.OwnPtrace,
	}
	for _, e := range g.Increment {
		a.Shim.Increment = append(a.Shim.Increment, units.EnvVar{Name: e[0], Value: e[1]})
	}
	return a, errors.Join(errs...)
}

func duration(s string, note func(error)) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	note(err)
	return d
}

// The type golden is one test case. It contains an archive in testdata and the output of Render.
type golden struct {
	path    string
	prose   string
	members []member
	app     units.App
	target  units.Target
	set     units.Set
	err     error
}

// The function goldens reads and renders every case in testdata, and fails the test if testdata contains no case.
func goldens(t *testing.T) []*golden {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("testdata contains no *.txtar")
	}
	var all []*golden
	for _, p := range paths {
		g, err := readGolden(p)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		all = append(all, g)
	}
	return all
}

func readGolden(path string) (*golden, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g := &golden{path: path}
	g.prose, g.members = parseArchive(data)
	in, target := goldenApp{}, goldenTarget{Systemd: 252, CPUs: units.CPUs{Affinity: 2}}
	found := false
	for _, f := range g.members {
		switch f.Name {
		case "app.json":
			found, err = true, strict(f.Data, &in)
		case "target.json":
			err = strict(f.Data, &target)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if !found {
		return nil, errors.New("the member app.json is missing")
	}
	g.app, g.err = in.app()
	g.target = units.Target{
		Systemd: target.Systemd, Sizing: g.app.Instances.Resolve(target.CPUs),
		Source: "/etc/clusterctl/" + in.Name + ".yaml", Shim: units.DefaultShim, Secrets: target.Secrets,
	}
	if !target.Package {
		g.target.Values = "/etc/clusterctl/" + in.Name + ".env"
	}
	if g.err == nil {
		g.set, g.err = units.Render(g.app, g.target)
	}
	return g, nil
}

func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// The method outcome returns the rendered files, or one member "error" with a line for each mistake and for its hint.
func (g *golden) outcome() []member {
	if g.err != nil {
		return []member{{Name: "error", Data: []byte(errorText(g.err))}}
	}
	var files []member
	for _, f := range g.set {
		files = append(files, member{Name: f.Path, Data: f.Data})
	}
	return files
}

func errorText(err error) string {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var b strings.Builder
		for _, e := range many.Unwrap() {
			b.WriteString(errorText(e))
		}
		return b.String()
	}
	text := err.Error() + "\n"
	var fe *units.FieldError
	if errors.As(err, &fe) && fe.Hint != "" {
		text += "  hint: " + fe.Hint + "\n"
	}
	return text
}

func isInput(name string) bool { return name == "app.json" || name == "target.json" }

// TestGolden compares the output of Render with the files of each case.
func TestGolden(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(strings.TrimSuffix(filepath.Base(g.path), ".txtar"), func(t *testing.T) {
			prose, _, _ := strings.Cut(g.prose, "\n")
			if strings.TrimSpace(prose) == "" {
				t.Error("the case has no description")
			}
			t.Log(prose)
			again, err := units.Render(g.app, g.target)
			if g.err == nil && (err != nil || !cmp.Equal(g.set, again)) {
				t.Errorf("a second Render differs (%v)", err)
			}
			if *update {
				g.rewrite(t)
				return
			}
			want := map[string]string{}
			for _, f := range g.members {
				if !isInput(f.Name) {
					want[f.Name] = string(f.Data)
				}
			}
			got := map[string]string{}
			for _, f := range g.outcome() {
				got[f.Name] = string(f.Data)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("the units differ (-want +got); go test ./units -run TestGolden -update rewrites them:\n%s", d)
			}
		})
	}
}

func (g *golden) rewrite(t *testing.T) {
	t.Helper()
	var out []member
	for _, f := range g.members {
		if isInput(f.Name) {
			out = append(out, f)
		}
	}
	if err := os.WriteFile(g.path, formatArchive(g.prose, append(out, g.outcome()...)), 0o644); err != nil {
		t.Fatal(err)
	}
}
