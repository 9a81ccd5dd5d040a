package guard

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestIdentify checks that users and groups may be given by number.
func TestIdentify(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	id, err := Identify(units.RunAs{User: self.Uid, Group: self.Gid})
	if err != nil || strconv.Itoa(id.UID) != self.Uid || !slices.Contains(id.GIDs, os.Getgid()) {
		t.Errorf("got %+v, error %v", id, err)
	}
	if _, err := Identify(units.RunAs{User: "no-such-user-here"}); err == nil {
		t.Error("a missing user: got no error")
	}
}

// TestModeBits checks that only the mode bits of the first matching class count: owner, group, or others
// (path_resolution(7)).
func TestModeBits(t *testing.T) {
	who := Identity{UID: 7, GIDs: []int{70, 71}}
	for _, c := range []struct {
		uid, gid uint32
		mode     uint32
		want     bool
	}{
		{7, 1, 0o100, true}, {7, 70, 0o011, false}, {1, 70, 0o010, true}, {1, 71, 0o101, false}, {1, 1, 0o001, true},
		{1, 1, 0o110, false}, {1, 1, 0o666, false},
	} {
		if got := who.hasRight(&syscall.Stat_t{Uid: c.uid, Gid: c.gid, Mode: c.mode}, toExecute); got != c.want {
			t.Errorf("%d:%d %o: got %v, want %v", c.uid, c.gid, c.mode, got, c.want)
		}
	}
}

func TestBlockedBy(t *testing.T) {
	w := newWorld(t)
	nobody := Identity{UID: -1}
	if block := nobody.BlockedBy(w.dir); block != "" {
		t.Fatalf("the temporary directory is closed to other users at %s: set TMPDIR", block)
	}
	open, gated := w.file(t, "open/x", "", 0o755), w.file(t, "gated/in/x", "", 0o755)
	secret := w.file(t, "open/secret", "", 0o744)
	gate := w.mkdir(t, "gated", 0o750)
	link := filepath.Join(w.dir, "open/link")
	if err := os.Symlink(gated, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		open: "", filepath.Dir(open): "", gated: gate, filepath.Dir(gated): gate, gate: gate, secret: secret, link: gate,
		w.dir + "/gone": "", "/": "",
	} {
		if got := nobody.BlockedBy(path); got != want {
			t.Errorf("%s: got blocked by %q, want %q", path, got, want)
		}
	}
	if got := (Identity{UID: 0}).BlockedBy(gated); got != "" {
		t.Errorf("for root: got blocked by %s, want \"\"", got)
	}
	group := Identity{UID: -1, GIDs: []int{os.Getgid()}}
	if got := group.BlockedBy(gated); got != "" {
		t.Errorf("for the group of the directory: got blocked by %s, want \"\"", got)
	}
}
