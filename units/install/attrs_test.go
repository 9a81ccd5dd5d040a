//go:build linux

package install

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// acl returns an ACL in the format of the kernel. The user 65534 may read, and other users may not.
func acl() []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, uint32(2))
	for _, e := range []struct {
		Tag, Perm uint16
		ID        uint32
	}{{1, 6, 1<<32 - 1}, {2, 4, 65534}, {4, 4, 1<<32 - 1}, {0x10, 4, 1<<32 - 1}, {0x20, 0, 1<<32 - 1}} {
		_ = binary.Write(&b, binary.LittleEndian, e)
	}
	return b.Bytes()
}

type fileAttrs struct {
	mode     os.FileMode
	uid, gid uint32
	acl      string
}

func attrsAt(t *testing.T, path string) fileAttrs {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	buf := make([]byte, 1024)
	n, err := unix.Getxattr(path, aclName, buf)
	if err != nil {
		n = 0
	}
	return fileAttrs{info.Mode().Perm(), st.Uid, st.Gid, string(buf[:n])}
}

// TestAttributes checks that a new version of a file keeps the mode, owner, group and ACL that an administrator has set,
// even after a rollback. A new values file is never readable by all users.
func TestAttributes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test requires root")
	}
	root := newRoot(t)
	s := storeAt(root)
	apply(t, s, app(2))
	paths := []string{s.ConfigPath("shop"), filepath.Join(s.Units, "shop@.service"), s.ValuesPath("shop")}
	withACL := true
	for i, p := range paths {
		if err := os.Chown(p, 0, 65534); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, []os.FileMode{0o640, 0o600, 0o640}[i]); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := unix.Setxattr(p, aclName, acl(), 0); err != nil {
				t.Logf("the file system does not support ACLs: %v", err)
				withACL = false
			}
		}
	}
	var want []fileAttrs
	for _, p := range paths {
		want = append(want, attrsAt(t, p))
	}
	if withACL && want[0].acl == "" {
		t.Fatal("the ACL was not set")
	}
	check := func(what string) {
		t.Helper()
		for i, p := range paths {
			if got := attrsAt(t, p); got != want[i] {
				t.Errorf("after %s: %s: got %+v, want %+v", what, p, got, want[i])
			}
		}
	}
	apply(t, s, app(3))
	check("an update")
	tx, err := s.Begin(makePlan(t, s, app(4)))
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Write(); err != nil {
		t.Fatal(err)
	}
	check("a write")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	check("a rollback")
	// Simulate a kill after an uninstall has removed the files and the copies of the old files.
	tx, err = s.Begin(makePlan(t, s, noApp()))
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Write(); err != nil {
		t.Fatal(err)
	}
	if err := tx.work.unstage(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	check("a rollback of an uninstall")
	if err := os.Chmod(s.ValuesPath("shop"), 0o644); err != nil {
		t.Fatal(err)
	}
	apply(t, s, app(5))
	if got := attrsAt(t, s.ValuesPath("shop")); got.mode != 0o640 {
		t.Errorf("the values file: got the mode %o, want 640", got.mode)
	}
}
