package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnixPath: a program cannot change the file of its Unix listener, but can change other files.
func TestUnixPath(t *testing.T) {
	for _, spelling := range []string{"absolute", "relative", "with dots"} {
		t.Run(spelling, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "app.sock")
			l, _ := listen(t, "unix", path, true)
			if err := os.Chmod(path, 0o660); err != nil {
				t.Fatal(err)
			}
			before := stat(t, path)
			w := startWorker(t, []*os.File{l}, "--adopt", "--", python(t), data(t, "unixserver.py"), filepath.Dir(path),
				"app.sock", spelling)
			w.waitReady(t)
			for range 5 {
				fetch(t, "unix", path)
			}
			w.stop(t)
			if after := stat(t, path); after.Ino != before.Ino || after.Mode != before.Mode || after.Uid != before.Uid {
				t.Errorf("the file is %+v, want the same inode, mode and owner as before: %+v", after, before)
			}
			const want = "left:; before: ConnectionRefusedError; after: connected; "
			if got := strings.ReplaceAll(w.output.String(), "\n", "; "); got != want {
				t.Errorf("the program printed %q, want %q", got, want)
			}
		})
	}
}

func stat(t *testing.T, path string) (st syscall.Stat_t) {
	t.Helper()
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestProbeUnix: the report contains the absolute path of a Unix socket, and the mode that the program sets. The probe does
// not change the socket of a running instance.
func TestProbeUnix(t *testing.T) {
	for _, c := range []struct {
		name, spelling, before string
		live, own              bool // whether the test listens at the path, and whether the path is in --own
	}{
		{"no file", "relative", "FileNotFoundError", false, false},
		{"an instance runs", "with dots", "ConnectionRefusedError", true, true},
		{"another program listens", "absolute", "connected", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "app.sock")
			var before syscall.Stat_t
			args := []string{"probe", "--timeout", "60s", "--settle", "3s"}
			if c.live {
				listen(t, "unix", path, true)
				before = stat(t, path)
			}
			if c.own {
				args = append(args, "--own", path)
			}
			cmd := exec.Command(shim, append(args, "--", python(t), data(t, "unixserver.py"), dir, "app.sock", c.spelling)...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, &stderr)
			}
			for _, want := range []string{`"family":"unix","type":"stream","address":"` + path + `"`, `"mode":"0777"`, `"listening":true`} {
				if !strings.Contains(string(out), want) {
					t.Errorf("the report is %s, want %s", out, want)
				}
			}
			if !strings.Contains(stderr.String(), "before: "+c.before+"\n") {
				t.Errorf("before the bind the program printed %s, want %s", &stderr, c.before)
			}
			if c.live {
				if after := stat(t, path); after.Ino != before.Ino || after.Mode != before.Mode {
					t.Errorf("the file is %+v, want the same inode, mode and owner as before: %+v", after, before)
				}
			}
		})
	}
}

// TestProbePrivate: Private is true for a socket whose name contains the process id, or whose directory is private to the
// app.
func TestProbePrivate(t *testing.T) {
	const script = `import os, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(eval(sys.argv[1])); s.listen(); time.sleep(60)`
	dir := t.TempDir()
	for expression, private := range map[string]bool{
		`"/tmp/shim-probe.sock"`:                                   true,
		`"/run/shim-probe-%d.sock" % os.getpid()`:                  true,
		`"/run/shim-probe-%d.sock" % (os.getpid() + 1)`:            false,
		`"/run/shim-probe-of-%d0.sock" % (os.getpid())`:            false,
		`"` + filepath.Join("/srv", filepath.Base(dir)) + `.sock"`: false,
	} {
		out, err := exec.Command(shim, "probe", "--timeout", "60s", "--", python(t), "-c", script, expression).Output()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), `"private":true`) != private {
			t.Errorf("%s: the report is %s, want private %v", expression, out, private)
		}
	}
}
