package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnixPathStays: whatever a program does to the path of its listener, the file stays as it is; whatever it does to other
// files is done.
func TestUnixPathStays(t *testing.T) {
	for _, spelling := range []string{"absolute", "relative", "crooked"} {
		t.Run(spelling, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "app.sock")
			l, _ := listen(t, "unix", path, true)
			if err := os.Chmod(path, 0o660); err != nil {
				t.Fatal(err)
			}
			before := stat(t, path)
			w := startWorker(t, []*os.File{l}, "--adopt", "--", python(t), data(t, "unixserver.py"), filepath.Dir(path), "app.sock", spelling)
			w.waitReady(t)
			for range 5 {
				fetch(t, "unix", path)
			}
			w.stop(t)
			if after := stat(t, path); after.Ino != before.Ino || after.Mode != before.Mode || after.Uid != before.Uid {
				t.Errorf("%+v, then %+v", before, after)
			}
			if got := strings.ReplaceAll(w.output.String(), "\n", "; "); got != "left:; before: ConnectionRefusedError; after: connected; " {
				t.Errorf("output %q", got)
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
