package socketfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSet: Set changes a socket, and returns an error for every other file without changing it.
func TestSet(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	uid, gid := os.Getuid(), os.Getgid()
	if err := Set(path, uid, gid, 0o640); err != nil {
		t.Fatal(err)
	}
	if mode := mode(t, path); mode != 0o640|fs.ModeSocket {
		t.Errorf("the socket has mode %v, want %v", mode, 0o640|fs.ModeSocket)
	}
	if err := Set(path, uid, gid, 0); err != nil || mode(t, path) != 0o640|fs.ModeSocket {
		t.Errorf("Set with mode 0: error %v, mode %v, want mode %v", err, mode(t, path), 0o640|fs.ModeSocket)
	}
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, link, dir} {
		if err := Set(bad, uid, gid, 0o666); !errors.Is(err, ErrNotSocket) {
			t.Errorf("Set(%s): error %v, want ErrNotSocket", bad, err)
		}
	}
	if err := Set(filepath.Join(dir, "missing"), uid, gid, 0o666); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Set of a missing file: error %v, want ENOENT", err)
	}
	if err := os.Link(path, filepath.Join(dir, "second")); err != nil {
		t.Fatal(err)
	}
	if err := Set(path, uid, gid, 0o666); !errors.Is(err, ErrNotSocket) {
		t.Errorf("Set of a socket with two names: error %v, want ErrNotSocket", err)
	}
	if got := mode(t, file); got != 0o600 {
		t.Errorf("a regular file has mode %v, want the old mode 0600", got)
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}
