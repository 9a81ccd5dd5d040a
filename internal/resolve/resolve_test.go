package resolve

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/units"
)

// The function dynamic returns a request for an app with a dynamic user. With another user, the result would depend on the
// user who runs the test.
func dynamic(a units.App) Request {
	return Request{App: a, Given: Given{RunAs: true, Directory: a.Directory != ""}}
}

func TestProgram(t *testing.T) {
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
		if err := w.program(&a); err != nil || strings.Join(a.Command, " ") != want {
			t.Errorf("%s: got %q, error %v, want %q", command, a.Command, err, want)
		}
		if !slices.Equal(before, given) {
			t.Errorf("%s: program has changed the words of its caller", command)
		}
	}
	for command, want := range map[string]string{
		"nothing":   "is not in $PATH\nhint: use its full path: -- /full/path/nothing",
		"./nothing": "no such file or directory\nhint: ls -l " + wd,
		"./plain":   "is not executable\nhint: chmod +x " + wd + "/plain, or add its interpreter: -- node " + wd + "/plain",
		".":         "is not in $PATH", "./": "is not a file", "/dev/null": "is not a file", "./plain/x": "not a directory",
	} {
		a := units.App{Command: []string{command}, Directory: wd}
		err := w.program(&a)
		if err == nil || !strings.Contains(err.Error()+"\nhint: "+fault.Hint(err), want) || isUsage(err) {
			t.Errorf("%s: got error %v, hint %q, want %q", command, err, fault.Hint(err), want)
		}
	}
}

func TestApp(t *testing.T) {
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
	a, err := w.App(dynamic(a))
	if err != nil {
		t.Fatal(err)
	}
	if a.Directory != wd || a.Command[0] != worker || a.EnvFiles[0].Path != wd+"/env" || a.EnvFiles[1].Path != wd+"/gone" ||
		a.Writable[0] != wd ||
		!a.RunAs.Dynamic() || a.Activation != units.Adopt || a.Ready != units.ReadyExec || a.Shim.NoDrain {
		t.Errorf("got %+v", a)
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
		_, err := w.App(dynamic(c.app))
		if err == nil || !strings.Contains(err.Error()+"\nhint: "+fault.Hint(err), c.want) {
			t.Errorf("%+v: got error %v, hint %q, want %q", c.app, err, fault.Hint(err), c.want)
		}
	}

	// If the user cannot enter the default directory, the directory becomes "/", unless an argument is relative to the
	// directory.
	w.Getwd = func() (string, error) { return closed, nil }
	a = units.App{Command: []string{worker, "-x", "/etc", "other"}}
	if a, err = w.App(dynamic(a)); err != nil || a.Directory != "/" ||
		!strings.Contains(w.notes.String(), "directory: / (a dynamic user cannot enter "+closed+")") {
		t.Errorf("an argument that is no path: got %+v, error %v, notes %q, want the directory /", a, err, w.notes.String())
	}
	a = units.App{Command: []string{worker, "data"}}
	if a, err = w.App(dynamic(a)); err == nil || !strings.Contains(err.Error(), "cannot enter the directory") {
		t.Errorf("a relative argument: got %+v, error %v", a, err)
	}
	w.Getwd = func() (string, error) { return "", os.ErrNotExist }
	if _, err := w.App(dynamic(units.App{Command: []string{worker}})); err == nil || fault.Hint(err) != "cd /" {
		t.Errorf("without a working directory: got error %v", err)
	}
}

func TestUser(t *testing.T) {
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
	w.chooseUser(&a, dir.Sys().(*syscall.Stat_t).Uid)
	// The user must be the owner of the directory, unless the owner is root.
	if self.Uid == "0" && !a.RunAs.Dynamic() || self.Uid != "0" && a.RunAs.User != self.Username {
		t.Errorf("got the user %+v for a directory of %s", a.RunAs, self.Username)
	}
	const noUser, noGroup = "no-such-user-here", "no-such-here"
	for as, want := range map[units.RunAs]string{
		{User: noUser}: `run-as: there is no user "no-such-user-here"` +
			"\nhint: adduser --system --group no-such-user-here, or --run-as dynamic",
		{User: "root", Group: noGroup}: `run-as: there is no group "no-such-here"` + "\nhint: addgroup --system no-such-here",
		{User: "root"}:                 "", {User: "0"}: "", {User: "root", Group: "0"}: "", {}: "",
	} {
		err := checkAccounts("run-as", as.User, "run-as", as.Group, ", or --run-as dynamic")
		if want == "" && err != nil || want != "" && (err == nil || err.Error()+"\nhint: "+fault.Hint(err) != want) {
			t.Errorf("%s: got error %v, want %q", as, err, want)
		}
	}
}

// TestReadiness builds real programs: one with the activation package, one with only the log handler of this module, which
// does not send READY=1, and one without this module.
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
			t.Errorf("%s: got %v, want %v", path, got, want)
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
		a := units.App{Activation: c.activation, Command: strings.Fields(c.command)}
		if got := readiness(a, builtWithActivation(a.Command[0])); got != c.want {
			t.Errorf("%v %s: got %v, want %v", c.activation, c.command, got, c.want)
		}
	}

	// Without flags, a program with the activation package becomes native, with ReadyNotify and without a drain of the shim.
	// The user can choose each of these values.
	w := newWorld(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	given := Given{Directory: true, RunAs: true}
	for _, c := range []struct {
		about           string
		given           Given
		native, noDrain bool
		want            units.Ready
	}{
		{"nothing given", given, true, true, units.ReadyNotify},
		{"the drain", Given{Directory: true, RunAs: true, Drain: true}, true, false, units.ReadyNotify},
		{"ready", Given{Directory: true, RunAs: true, Ready: true}, true, true, units.ReadyExec},
		{"the activation", Given{Directory: true, RunAs: true, Activation: true}, false, false, units.ReadyExec},
		{"everything", AllGiven(), false, false, units.ReadyExec},
	} {
		a, err := w.App(Request{App: units.App{Name: "x", Command: []string{ours}, Ready: units.ReadyExec}, Given: c.given})
		if err != nil || (a.Activation == units.Native) != c.native || a.Shim.NoDrain != c.noDrain || a.Ready != c.want {
			t.Errorf("%s: got %+v, error %v", c.about, a, err)
		}
		if a.Directory != "" {
			t.Errorf("%s: got the directory %s, want none", c.about, a.Directory)
		}
	}
}
