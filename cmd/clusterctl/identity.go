package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/units"
)

// identity is a user as the kernel sees it when it checks permissions.
type identity struct {
	name string
	uid  int
	gids []int
	// bare: root has no capabilities, as in a sandbox, and the mode bits count for it too.
	bare bool
}

// identify returns the identity that the workers will have. A dynamic user owns no file and is in no group of the machine.
func identify(r units.RunAs) (identity, error) {
	if r.Dynamic() {
		return identity{name: "a dynamic user", uid: -1}, nil
	}
	u, err := lookupUser(r.User)
	if err != nil {
		return identity{}, fmt.Errorf("there is no user %q", r.User)
	}
	id := identity{name: "user " + u.Username}
	id.uid, _ = strconv.Atoi(u.Uid)
	ids, _ := u.GroupIds()
	if r.Group != "" {
		if g, err := lookupGroup(r.Group); err == nil {
			ids = append(ids, g.Gid)
		}
	}
	for _, s := range append(ids, u.Gid) {
		if n, err := strconv.Atoi(s); err == nil {
			id.gids = append(id.gids, n)
		}
	}
	return id, nil
}

// blockedBy gives the first part of the path that the identity may not pass (directories) or execute (a file), or "".
// ACLs are not looked at: what they allow in addition is refused here only if the mode bits refuse it.
func (id identity) blockedBy(path string) string {
	if id.uid == 0 && !id.bare {
		return ""
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	at := "/"
	for part := range strings.SplitSeq(strings.Trim(real, "/"), "/") {
		at = filepath.Join(at, part)
		info, err := os.Stat(at)
		if err != nil {
			return ""
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && !id.may(st) && !hasACL(at) {
			return at
		}
	}
	return ""
}

// may says whether the execute bit that counts for this identity is set.
func (id identity) may(st *syscall.Stat_t) bool { return id.has(st, 0o1) }

// has says whether the identity has the right: 1 to execute or enter, 4 to read.
func (id identity) has(st *syscall.Stat_t, right uint32) bool {
	switch {
	case id.uid == 0 && !id.bare:
		return true
	case int(st.Uid) == id.uid:
		return st.Mode&(right<<6) != 0
	case slices.Contains(id.gids, int(st.Gid)):
		return st.Mode&(right<<3) != 0
	}
	return st.Mode&right != 0
}

// hasACL: the mode bits are not the whole truth then, so systemd is left to find out.
func hasACL(path string) bool {
	n, err := syscall.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}
