package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// flagsOf parses the flags that describe an app, as install and generate do.
func flagsOf(t *testing.T, args ...string) *appFlags {
	t.Helper()
	f := &appFlags{}
	do := &cmdline.Command{Name: "do", Flags: f.flags(), Run: func(context.Context, cmdline.Input) error { return nil }}
	app := &cmdline.App{Name: "x", Stdout: io.Discard, Commands: []*cmdline.Command{do}}
	if err := app.Run(t.Context(), append([]string{"x", "do"}, args...)); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAppFlags checks the app that flags describe.
func TestAppFlags(t *testing.T) {
	f := flagsOf(t)
	a, err := f.app("web", []string{"/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	if d := (units.App{Name: "web", Command: []string{"/bin/true"}}); !equalApps(a, d) {
		t.Errorf("without flags: got app %+v", a)
	}

	a, err = flagsOf(t, "-i", "-1", "--listen", "8080", "--listen", "admin=/run/a b.sock", "--activation", "native",
		"--ready", "notify", "--run-as", "www:web",
		"--cwd", "/srv", "--env", "A=1,2", "--env", "B=", "--env", "C==x", "--env-file", "/etc/a", "--env-file=-/etc/b",
		"--restart", "on-failure",
		"--sandbox", "strict", "--rw", "/var/a,b", "--ro", "/home/a/.npmrc", "--allow", "io-uring", "--allow", "shm",
		"--increment", "PORT=3000", "--pin", "--min-uptime", "3s", "--max-restarts", "7", "--drain", "accept",
		"--no-node-preload", "--own-ptrace", "--start-timeout", "5s", "--drain-timeout", "1m").app("web", []string{"/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	want := units.App{
		Name: "web", Command: []string{"/bin/true"}, Instances: units.Count{N: -1},
		Listen:     []units.Listener{{Port: 8080}, {Name: "admin", Network: units.Unix, Path: "/run/a b.sock"}},
		Activation: units.Native, Ready: units.ReadyNotify, RunAs: units.RunAs{User: "www", Group: "web"}, Directory: "/srv",
		Env:      []units.EnvVar{{Name: "A", Value: "1,2"}, {Name: "B"}, {Name: "C", Value: "=x"}},
		EnvFiles: []units.EnvFile{{Path: "/etc/a"}, {Path: "/etc/b", Optional: true}},
		Restart:  units.RestartOnFailure, Sandbox: units.SandboxStrict, Writable: []string{"/var/a,b"},
		Reads: []string{"/home/a/.npmrc"}, Allow: []units.Allowance{units.AllowIOUring, units.AllowSharedMemory},
		Timeouts: units.Timeouts{Start: 5 * time.Second, Drain: time.Minute},
		Shim: units.ShimOptions{
			Increment: []units.EnvVar{{Name: "PORT", Value: "3000"}}, Pin: true, MaxRestarts: 7, MinUptime: 3 * time.Second,
			NoNodePreload: true, HoldAccept: true, OwnPtrace: true,
		},
	}
	if !equalApps(a, want) {
		t.Errorf("got\n%+v\nwant\n%+v", a, want)
	}
	// The default value of a flag is not stored, so that the app gets the default of a later version.
	a, err = flagsOf(t, "--min-uptime", "10s", "--start-timeout", "60s", "--drain-timeout=30s", "--run-as", "dynamic",
		"--drain=epoll").app("web", nil)
	if err != nil || !equalApps(a, units.App{Name: "web"}) {
		t.Errorf("got app %+v, error %v", a, err)
	}
}

// equalApps compares apps. A nil list equals an empty list.
func equalApps(a, b units.App) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// TestAppFlagsErrors checks the message of each mistake, and that several mistakes are reported together.
func TestAppFlagsErrors(t *testing.T) {
	cases := []struct {
		args []string
		want string
	}{
		{[]string{"--instances", "many"}, `"many" is not a number of instances`},
		{[]string{"--instances", "1001"}, "must be between -1000 and 1000"},
		{[]string{"--instances", "0%"}, "is not a percentage"},
		{[]string{"--listen", "localhost:80"}, `"localhost" is not an IP address`},
		{[]string{"--listen", "70000"}, "is not a port"},
		{[]string{"--listen", "8080", "--no-listen"}, "--no-listen cannot be combined with --listen"},
		{[]string{"--activation", "magic"}, `activation: "magic" is not one of adopt, native`},
		{[]string{"--ready", "maybe"}, `ready: "maybe" is not one of exec, notify`},
		{[]string{"--restart", "sometimes"}, `restart: "sometimes" is not one of always, on-failure, no`},
		{[]string{"--sandbox", "leaky"}, `sandbox: "leaky" is not one of default, strict, off`},
		{[]string{"--allow", "uring"}, `allow: "uring" is not one of home, io-uring, namespaces, ptrace, shm, sockets, users`},
		{[]string{"--drain", "slowly"}, `--drain: "slowly" is not one of auto, epoll, accept, off`},
		{[]string{"--min-uptime", "0s"}, "--min-uptime must be positive"},
		{[]string{"--env", "PORT"}, `--env "PORT" has no "="`},
		{[]string{"--increment", "PORT"}, `--increment "PORT" has no "="`},
	}
	for _, c := range cases {
		_, err := flagsOf(t, c.args...).app("web", []string{"/bin/true"})
		if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage || len(fault.Flatten(err)) != 1 {
			t.Errorf("%q: got error %v", c.args, err)
		}
	}
	_, err := flagsOf(t, "--instances", "many", "--listen", "70000", "--listen", "x", "--activation", "magic",
		"--restart", "x", "--drain", "x", "--env", "A", "--env", "B").app("Bad Name", nil)
	if got := len(fault.Flatten(err)); got != 9 || exitCode(err) != exitUsage {
		t.Errorf("got %d errors:\n%v", got, err)
	}
}

func TestParseRunAs(t *testing.T) {
	for s, want := range map[string]units.RunAs{
		"": {}, "dynamic": {}, "www": {User: "www"}, "www:web": {User: "www", Group: "web"},
		"1000:1000": {User: "1000", Group: "1000"}, "www:": {User: "www"},
	} {
		if got := parseRunAs(s); got != want {
			t.Errorf("%q: got %+v", s, got)
		}
	}
}

func TestGenerate(t *testing.T) {
	w := newWorld(t)
	if code := w.do("generate", "hello", "-i", "2", "--listen", "8080", "--activation", "native", "--", "/opt/hello",
		"a b", "--listen", "%"); code != exitDone {
		t.Fatalf("got status %d, stderr %s", code, w.err.String())
	}
	out := w.out.String()
	for _, want := range []string{"# hello.service\n", "# hello.service.d/50-instances.conf\n", "# hello.socket\n",
		"# hello@.service\n", "ListenStream=8080\n", `"a b"`, "%%"} {
		if !strings.Contains(out, want) {
			t.Errorf("got no %q in\n%s", want, out)
		}
	}
	if !strings.Contains(w.err.String(), "ready: exec") {
		t.Errorf("the note about the readiness is missing: got stderr %q", w.err.String())
	}

	// Blanks at the end of a value are kept.
	if code := w.do("generate", "hello", "--no-listen", "--env", "TRAILING= a \t", "--", "/opt/hello"); code != exitDone ||
		!strings.Contains(w.out.String(), "TRAILING=\" a \t\"\n") {
		t.Errorf("got status %d, stderr %s\nstdout %s", code, w.err.String(), w.out.String())
	}

	// With --output, "generate" writes the same units to files. A second run fails, because it must not replace files. It
	// removes the files that it wrote before the error.
	dir := filepath.Join(w.dir, "made")
	args := []string{"generate", "hello", "-i", "2", "--listen", "8080", "--activation", "native", "--ready", "exec",
		"-o", dir, "--", "/opt/hello", "a b", "--listen", "%"}
	if code := w.do(args...); code != exitDone || w.out.Len()+w.err.Len() > 0 {
		t.Fatalf("got status %d, stdout %q, stderr %q", code, w.out.String(), w.err.String())
	}
	if got := strings.Join(filesBelow(t, dir), " "); !strings.Contains(got,
		"hello.service hello.service.d/50-instances.conf hello.socket hello@.service") {
		t.Errorf("got the files %s", got)
	}
	if err := os.Remove(filepath.Join(dir, "clusterctl-hello.slice")); err != nil {
		t.Fatal(err)
	}
	mine := w.file(t, "made/hello@.service", "mine", 0o644)
	if code := w.do(args...); code != exitFailed || !strings.Contains(w.err.String(), "file exists") ||
		!strings.Contains(w.err.String(), "hint: --output needs an empty directory") {
		t.Errorf("got status %d, stderr %s", code, w.err.String())
	}
	if data, _ := os.ReadFile(mine); string(data) != "mine" {
		t.Error("a file was replaced")
	}
	if _, err := os.Stat(filepath.Join(dir, "clusterctl-hello.slice")); err == nil {
		t.Error("a file that was written before the error still exists")
	}

	for args, want := range map[string]string{
		"generate x --listen 8080":                          "missing program after --",
		"generate x --listen 8080 --":                       "missing program after --",
		"generate x -- /bin/true":                           "listen: missing address",
		"generate x --no-listen --cpus 0 -- /bin/true":      "--cpus must be at least 1",
		"generate x --no-listen -- true":                    "command",
		"generate x.service --no-listen -- /bin/true":       "which is a kind of unit",
		"generate x --no-listen --cpus many -- /bin/true":   "--cpus: \"many\" is not a whole number",
		"generate x --no-listen -i 4 --instances=x -- true": "is not a number of instances",
	} {
		if code := w.do(strings.Fields(args)...); code != exitUsage || !strings.Contains(w.err.String(), want) || w.out.Len() > 0 {
			t.Errorf("%s: got status %d, stderr %s", args, code, w.err.String())
		}
	}
}

// filesBelow returns the sorted relative paths of the files below a directory.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files = append(files, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}
