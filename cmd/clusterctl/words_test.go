package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestWithoutReader checks that a closed stdout is not an error, and does not hide other errors.
func TestWithoutReader(t *testing.T) {
	unread := &fs.PathError{Op: "write", Path: os.Stdout.Name(), Err: syscall.EPIPE}
	lost, other := &fs.PathError{Op: "write", Path: "/run/dbus", Err: syscall.EPIPE}, errors.New("x")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""}, {unread, ""}, {errors.Join(unread), ""}, {errors.Join(other, unread), "x"}, {lost, lost.Error()}, {other, "x"},
	} {
		got := ""
		if err := withoutReader(c.err); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: got %q", c.err, got)
		}
	}
}

// TestListWithoutSystemd checks that ls returns an error without systemd, and not an empty list.
func TestListWithoutSystemd(t *testing.T) {
	w := newWorld(t)
	w.booted = func() bool { return false }
	if code := w.do("ls"); code != exitFailed || !strings.Contains(w.err.String(), "hint:") || w.out.Len() > 0 {
		t.Errorf("got status %d, stderr %s", code, w.err.String())
	}
}

// TestDirectoryIsGone checks that an absolute path works if the current directory was deleted.
func TestDirectoryIsGone(t *testing.T) {
	w := newWorld(t)
	w.path["bash"] = "/bin/bash"
	w.getwd = func() (string, error) { return "", os.NewSyscallError("getwd", syscall.ENOENT) }
	program := w.file(t, "server.sh", "#!/bin/sh\n", 0o755)
	if code := w.do("install", program, "--no-listen"); code != exitFailed ||
		!strings.Contains(w.err.String(), "systemd is not running here") {
		t.Errorf("an absolute path: got status %d, stderr %s", code, w.err.String())
	}
	if code := w.do("install", "web", "--no-listen", "--", "./x"); code != exitFailed ||
		!strings.Contains(w.err.String(), "the current directory: no such file or directory\nclusterctl: hint: cd /\n") {
		t.Errorf("a relative path: got status %d, stderr %s", code, w.err.String())
	}
}
