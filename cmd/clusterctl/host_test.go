package main

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/units"
)

// dynamic are the flags of an app whose user does not depend on who runs the tests.
func dynamic() *appFlags {
	return &appFlags{runAs: "dynamic", activation: activationAuto, drain: drainAuto}
}

func TestSettleProgram(t *testing.T) {
	w := newWorld(t)
	worker := w.file(t, "wd/worker", "#!/bin/sh\n", 0o755)
	w.file(t, "wd/plain", "", 0o644)
	w.path["tool"] = worker
	w.path["relative"] = "bin/x"
	w.file(t, "wd/bin/x", "", 0o755)
	wd := filepath.Dir(worker)
	for command, want := range map[string]string{
		"./worker -v": worker + " -v", "../wd/worker": worker, worker: worker, "tool -x ./worker": worker + " -x ./worker",
		"relative": wd + "/bin/x",
	} {
		a := units.App{Command: strings.Fields(command), Directory: wd}
		given := slices.Clone(a.Command)
		before := a.Command
		if err := w.settleProgram(&a); err != nil || strings.Join(a.Command, " ") != want {
			t.Errorf("%s: %q, %v", command, a.Command, err)
		}
		if !slices.Equal(before, given) {
			t.Errorf("%s: the caller's words were changed", command)
		}
	}
	for command, want := range map[string]string{
		"nothing":   "is not in $PATH\nhint: give its full path: -- /full/path/nothing",
		"./nothing": "no such file or directory\nhint: ls -l " + wd,
		"./plain":   "is not executable\nhint: chmod +x " + wd + "/plain, or name its interpreter: -- node " + wd + "/plain",
		".":         "is not in $PATH", "./": "is not a file", "/dev/null": "is not a file", "./plain/x": "not a directory",
	} {
		a := units.App{Command: []string{command}, Directory: wd}
		err := w.settleProgram(&a)
		if err == nil || !strings.Contains(err.Error()+"\nhint: "+w.hintFor(err), want) || exitCode(err) != exitFailed {
			t.Errorf("%s: %v, hint %q", command, err, w.hintFor(err))
		}
	}
}

func TestSettle(t *testing.T) {
	w := newWorld(t)
	who := guard.Identity{UID: -1}
	if block := who.BlockedBy(w.dir); block != "" {
		t.Fatalf("the temporary directory is closed to other users at %s: set TMPDIR", block)
	}
	worker := w.file(t, "wd/worker", "", 0o755)
	w.file(t, "wd/env", "", 0o600)
	wd := filepath.Dir(worker)
	a := units.App{
		Command: []string{"./worker", "data"}, EnvFiles: []units.EnvFile{{Path: "env"}, {Path: "gone", Optional: true}},
		Writable: []string{"../wd"},
	}
	if err := w.settle(&a, dynamic()); err != nil {
		t.Fatal(err)
	}
	if a.Directory != wd || a.Command[0] != worker || a.EnvFiles[0].Path != wd+"/env" || a.EnvFiles[1].Path != wd+"/gone" ||
		a.Writable[0] != wd ||
		!a.RunAs.Dynamic() || a.Activation != units.Adopt || a.Ready != units.ReadyExec || a.Shim.NoDrain {
		t.Errorf("%+v", a)
	}

	closed := w.mkdir(t, "closed", 0o700)
	w.file(t, "closed/worker", "", 0o755)
	w.file(t, "closed/data", "", 0o644)
	for _, c := range []struct {
		app  units.App
		want string
	}{
		{units.App{Command: []string{"./worker"}, Directory: "nothing"}, "no such file or directory\nhint: mkdir -p " + wd + "/nothing"},
		{units.App{Command: []string{"./worker"}, Directory: worker}, "is not a directory"},
		{units.App{Command: []string{"./worker"}, EnvFiles: []units.EnvFile{{Path: "gone"}}},
			"hint: --env-file=-gone if it may be missing"},
		{units.App{Command: []string{"./worker"}, Writable: []string{"gone"}}, "hint: mkdir -p " + wd + "/gone"},
		{units.App{Command: []string{closed + "/worker"}}, "a dynamic user cannot reach the program " + closed +
			"/worker: no permission on " + closed},
		{units.App{Command: []string{worker}, Directory: closed}, "a dynamic user cannot enter the directory " + closed},
	} {
		err := w.settle(&c.app, dynamic())
		if err == nil || !strings.Contains(err.Error()+"\nhint: "+w.hintFor(err), c.want) {
			t.Errorf("%+v: %v, hint %q", c.app, err, w.hintFor(err))
		}
	}

	// A directory that nobody asked for and the user cannot enter becomes "/", unless an argument is relative to it.
	w.getwd = func() (string, error) { return closed, nil }
	a = units.App{Command: []string{worker, "-x", "/etc", "other"}}
	if err := w.settle(&a, dynamic()); err != nil || a.Directory != "/" ||
		!strings.Contains(w.err.String(), "directory: / (a dynamic user cannot enter "+closed+")") {
		t.Errorf("%+v, %v, %q", a, err, w.err.String())
	}
	a = units.App{Command: []string{worker, "data"}}
	if err := w.settle(&a, dynamic()); err == nil || !strings.Contains(err.Error(), "cannot enter the directory") {
		t.Errorf("%+v, %v", a, err)
	}
	w.getwd = func() (string, error) { return "", os.ErrNotExist }
	if err := w.settle(&units.App{Command: []string{worker}}, dynamic()); err == nil || w.hintFor(err) != "cd /" {
		t.Errorf("%v", err)
	}
}

func TestSettleUser(t *testing.T) {
	w := newWorld(t)
	dir, err := os.Stat(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	var a units.App
	if err := w.settleUser(&a, &appFlags{}, dir); err != nil {
		t.Fatal(err)
	}
	// The owner of the directory, unless that is root.
	if self.Uid == "0" && !a.RunAs.Dynamic() || self.Uid != "0" && a.RunAs.User != self.Username {
		t.Errorf("%+v for a directory of %s", a.RunAs, self.Username)
	}
	for runAs, want := range map[string]string{
		"no-such-user-here": `there is no user "no-such-user-here"` +
			"\nhint: adduser --system --group no-such-user-here, or --run-as dynamic",
		"root:no-such-here": `there is no group "no-such-here"` + "\nhint: addgroup --system no-such-here", "root": "",
		"0": "", "root:0": "", "dynamic": "",
	} {
		a := units.App{RunAs: parseRunAs(runAs)}
		err := w.settleUser(&a, &appFlags{runAs: runAs}, dir)
		if want == "" && err != nil || want != "" && (err == nil || err.Error()+"\nhint: "+w.hintFor(err) != want) {
			t.Errorf("%s: %v", runAs, err)
		}
	}
}

// TestReadiness builds real programs: one that depends on this module, as a worker with the activation package does, one that
// takes only the handler for its log from it, and so gets no listeners and says no READY=1, and one that does not depend on it.
func TestReadiness(t *testing.T) {
	dir := t.TempDir()
	ours, logs, other := filepath.Join(dir, "ours"), filepath.Join(dir, "logs"), filepath.Join(dir, "other")
	build := func(cwd, out string, args ...string) {
		cmd := exec.Command("go", append([]string{"build", "-buildvcs=false", "-o", out}, args...)...)
		cmd.Dir, cmd.Env = cwd, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, text)
		}
	}
	build(".", ours, "-trimpath", "-ldflags", "-s -w", "../../packaging/examples/go-worker")
	build(".", logs, "../../internal/e2e/logger")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.test/other\n\ngo 1.26\n")
	write("main.go", "package main\n\nfunc main() {}\n")
	build(dir, other, ".")
	write("script", "#!/bin/sh\n")
	script := filepath.Join(dir, "script")
	for path, want := range map[string]bool{ours: true, logs: false, other: false, script: false, dir: false, dir + "/gone": false} {
		if got := builtWithActivation(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	for _, c := range []struct {
		activation units.Activation
		command    string
		want       units.Ready
	}{
		{units.Native, ours, units.ReadyNotify}, {units.Native, other, units.ReadyExec}, {units.Adopt, ours, units.ReadyExec},
		{units.Native, "/usr/bin/gunicorn app:app", units.ReadyNotify},
		{units.Native, "/usr/bin/python3 /usr/bin/gunicorn", units.ReadyNotify},
		{units.Native, "/usr/bin/ruby -S puma", units.ReadyNotify}, {units.Native, "/usr/bin/python3 a b c gunicorn", units.ReadyExec},
		{units.Adopt, "/usr/bin/puma", units.ReadyExec},
	} {
		if got := readiness(units.App{Activation: c.activation, Command: strings.Fields(c.command)}); got != c.want {
			t.Errorf("%v %s: %v", c.activation, c.command, got)
		}
	}

	// In an install: auto becomes native, ready notify, and the drain is the program's own; each can be chosen otherwise.
	w := newWorld(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		activation, drain, ready string
		native, noDrain          bool
		want                     units.Ready
	}{
		{"auto", "auto", "", true, true, units.ReadyNotify},
		{"auto", "epoll", "", true, false, units.ReadyNotify},
		{"auto", "auto", "exec", true, true, units.ReadyExec},
		{"adopt", "auto", "", false, false, units.ReadyExec},
	} {
		f := &appFlags{runAs: "dynamic", instances: "1", restart: "always", sandbox: "default", activation: c.activation,
			drain: c.drain, ready: c.ready, minUptime: contract.MinUptime}
		a, err := f.app("x", []string{ours})
		if err == nil {
			err = w.settle(&a, f)
		}
		if err != nil || (a.Activation == units.Native) != c.native || a.Shim.NoDrain != c.noDrain || a.Ready != c.want {
			t.Errorf("%+v: %+v, %v", c, a, err)
		}
	}
}
