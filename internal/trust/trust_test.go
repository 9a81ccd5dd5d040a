package trust

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// These are the users and groups of the tests. Each user has a group with the same number, and ann and bob are also in devs.
const (
	ann, bob, web                             = 4001, 4002, 4003
	annOwn, bobOwn, webOwn, devs, nurse, ldap = 4001, 4002, 4003, 4100, 4200, 4300
)

func checker(t *testing.T) Checker {
	t.Helper()
	etc := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "root:x:0:0::/root:/bin/sh\nann:x:4001:4001::/:\nbob:x:4002:4002::/:\nweb:x:4003:4003::/:\nbroken\nx:y:z:w\n")
	write("group", "root:x:0:\nann:x:4001:\nbob:x:4002:\nweb:x:4003:\ndevs:x:4100:ann,bob\nldap:x:4300:ann,gone\nnurse:x:4200:\nbroken:x\n")
	a, err := ReadAccounts(etc)
	if err != nil {
		t.Fatal(err)
	}
	return Checker{a}
}

// A box is a directory for the files of a test. The directory and its parents belong to root.
type box struct {
	t    *testing.T
	root string
}

func newBox(t *testing.T) box {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test changes the owners of files, so it must run as root")
	}
	root := t.TempDir()
	for dir := root; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return box{t, root}
}

// path returns the path of a file in the box. It keeps "..", unlike filepath.Join.
func (b box) path(name string) string { return b.root + "/" + strings.TrimSuffix(name, "/") }

func (b box) make(name string, mode os.FileMode, uid, gid int) string {
	b.t.Helper()
	path := b.path(name)
	var err error
	if strings.HasSuffix(name, "/") {
		err = os.MkdirAll(path, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err = errors.Join(err, os.Chown(path, uid, gid), os.Chmod(path, mode)); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b box) link(name, target string, uid int) {
	b.t.Helper()
	if err := errors.Join(os.Symlink(target, b.path(name)), os.Lchown(b.path(name), uid, uid)); err != nil {
		b.t.Fatal(err)
	}
}

// wantWriters checks the writers of a path. The path in name and the paths in the parameter want are relative to the
// box.
func (b box) wantWriters(name string, scope Scope, allowed []int, want ...Writer) {
	b.t.Helper()
	got, err := checker(b.t).Writers(b.path(name), scope, allowed...)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range want {
		want[i].Path = b.path(want[i].Path)
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		b.t.Errorf("%s, allowed %v:\n got %+v\nwant %+v", name, allowed, got, want)
	}
}

func TestOwnersAndModes(t *testing.T) {
	b := newBox(t)
	b.make("root", 0o644, 0, 0)
	b.wantWriters("root", Contents, nil)
	b.make("anns", 0o444, ann, annOwn)
	b.wantWriters("anns", Contents, nil, Writer{"anns", Owner, ann, nil})
	b.wantWriters("anns", Contents, []int{ann})
	b.wantWriters("anns", Place, nil)
	b.make("open", 0o602, 0, 0)
	b.wantWriters("open", Contents, []int{ann}, Writer{"open", Everybody, 0, nil})
	b.make("dir/", 0o755, bob, bobOwn)
	b.make("dir/file", 0o644, 0, 0)
	b.wantWriters("dir/file", Place, nil, Writer{"dir", Owner, bob, nil})
	b.make("wide/", 0o777, 0, 0)
	b.make("wide/deep/file", 0o600, 0, 0)
	b.wantWriters("wide/deep/file", Place, nil, Writer{"wide", Everybody, 0, nil})
	b.wantWriters("wide/deep/../deep/./file", Place, nil, Writer{"wide", Everybody, 0, nil})
	if _, err := checker(t).Writers("relative", Place); err == nil {
		t.Error("Writers returned no error for a relative path")
	}
}

func TestGroups(t *testing.T) {
	b := newBox(t)
	b.make("devs", 0o664, 0, devs)
	b.wantWriters("devs", Contents, nil, Writer{"devs", Group, devs, []int{ann, bob}})
	b.wantWriters("devs", Contents, []int{ann}, Writer{"devs", Group, devs, []int{bob}})
	b.wantWriters("devs", Contents, []int{ann, bob})
	b.make("private", 0o664, ann, annOwn)
	b.wantWriters("private", Contents, []int{ann})
	b.make("nobody", 0o664, 0, nurse)
	b.wantWriters("nobody", Contents, nil)
	b.make("unknown", 0o664, 0, 4999)
	b.wantWriters("unknown", Contents, []int{ann}, Writer{"unknown", Group, 4999, nil})
	b.make("ldap", 0o664, 0, ldap)
	b.wantWriters("ldap", Contents, nil, Writer{"ldap", Group, ldap, []int{ann}})
	b.wantWriters("ldap", Contents, []int{ann}, Writer{"ldap", Group, ldap, nil})
	c := checker(t)
	c.Accounts = c.Accounts.With(web, nurse)
	if got, err := c.Writers(b.path("nobody"), Contents); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].Users, []int{web}) {
		t.Errorf("got %+v, error %v, want web as a member of the group", got, err)
	}
	if c.Accounts.User(ann) != "ann" || c.Accounts.User(77) != "77" || c.Accounts.Group(devs) != "devs" || c.Accounts.Group(77) != "77" {
		t.Error("User or Group returned a wrong name")
	}
}

func TestSticky(t *testing.T) {
	b := newBox(t)
	b.make("tmp/", 0o777|os.ModeSticky, 0, 0)
	b.make("tmp/roots", 0o600, 0, 0)
	b.wantWriters("tmp/roots", Contents, nil)
	b.make("tmp/anns", 0o600, ann, annOwn)
	b.wantWriters("tmp/anns", Place, nil, Writer{"tmp/anns", Owner, ann, nil})
	b.link("tmp/link", "../real", ann)
	b.make("real", 0o600, 0, 0)
	b.wantWriters("tmp/link", Contents, nil, Writer{"tmp/link", Owner, ann, nil})
	// All users may create the missing entry.
	b.wantWriters("tmp/missing/file", Place, nil, Writer{"tmp", Everybody, 0, nil})
	b.make("bobs/", 0o755|os.ModeSticky, bob, bobOwn)
	b.make("bobs/file", 0o600, 0, 0)
	b.wantWriters("bobs/file", Place, nil, Writer{"bobs", Owner, bob, nil})
}

func TestLinks(t *testing.T) {
	b := newBox(t)
	b.make("a/", 0o755, ann, annOwn)
	b.make("b/", 0o755, bob, bobOwn)
	b.make("c/file", 0o644, 0, 0)
	b.link("a/one", "../b/two", 0)
	b.link("b/two", b.path("c"), 0)
	b.wantWriters("a/one/file", Contents, nil, Writer{"a", Owner, ann, nil}, Writer{"b", Owner, bob, nil})
	b.wantWriters("a/one/file", Contents, []int{ann, bob})
	// The owner of a link in a directory of root cannot change the link.
	b.link("anns", "c/file", ann)
	b.wantWriters("anns", Contents, nil)
	// ".." after a link is the parent of the link's target.
	b.make("b/sub/x", 0o644, 0, 0)
	b.link("sub", "b/sub", 0)
	b.wantWriters("sub/../file", Place, nil, Writer{"b", Owner, bob, nil})
	b.link("gone", "b/nothing", 0)
	b.wantWriters("gone", Contents, nil, Writer{"b", Owner, bob, nil})
	b.link("loop", "loop", 0)
	b.link("ping", "pong", 0)
	b.link("pong", "ping", 0)
	for _, name := range []string{"loop", "ping", "ping/file"} {
		if _, err := checker(t).Writers(b.path(name), Contents); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s: got error %v, want ELOOP", name, err)
		}
	}
	if _, err := checker(t).Writers(b.path("c/file/below"), Place); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a path below a file: got error %v, want ENOTDIR", err)
	}
}

// acl returns an ACL in the format of the kernel.
func acl(version uint32, entries ...aclEntry) []byte {
	out := binary.LittleEndian.AppendUint32(nil, version)
	for _, e := range entries {
		out = binary.LittleEndian.AppendUint16(out, e.tag)
		out = binary.LittleEndian.AppendUint16(out, e.perm)
		out = binary.LittleEndian.AppendUint32(out, e.id)
	}
	return out
}

func TestACL(t *testing.T) {
	b := newBox(t)
	const none = 1<<32 - 1
	set := func(name string, mask uint16) {
		value := acl(2, aclEntry{tagUserObj, 6, none}, aclEntry{tagUser, 4, ann}, aclEntry{tagUser, 6, bob}, aclEntry{tagGroupObj, 4, none},
			aclEntry{tagGroup, 6, devs}, aclEntry{tagMask, mask, none}, aclEntry{tagOther, 0, none})
		if err := syscall.Setxattr(b.make(name, 0o600, 0, nurse), aclName, value, 0); err != nil {
			t.Fatalf("this test needs a file system with ACLs: %v", err)
		}
	}
	set("open", 6)
	b.wantWriters("open", Contents, nil, Writer{"open", ACLUser, bob, nil}, Writer{"open", ACLGroup, devs, []int{ann, bob}})
	b.wantWriters("open", Contents, []int{bob}, Writer{"open", ACLGroup, devs, []int{ann}})
	b.wantWriters("open", Contents, []int{ann, bob})
	// The mask removes the write permission of all entries.
	set("masked", 4)
	b.wantWriters("masked", Contents, nil)
}

func TestParseACL(t *testing.T) {
	if got, err := parseACL(acl(2)); err != nil || len(got) != 0 {
		t.Errorf("an empty ACL: got %v, error %v", got, err)
	}
	for _, bad := range [][]byte{nil, {2, 0, 0}, acl(3), acl(1, aclEntry{tagOther, 7, 0}), append(acl(2), 1, 2, 3)} {
		if got, err := parseACL(bad); err == nil {
			t.Errorf("parseACL(%v) returned %v and no error", bad, got)
		}
	}
}
