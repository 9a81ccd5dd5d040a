package guard

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/units"
)

// Identity has the IDs with which the kernel checks the permissions of a user.
type Identity struct {
	// Name is "user web" or "a dynamic user".
	Name string
	UID  int
	GIDs []int
	// noCapabilities is set if the user has no capabilities, like root in a sandbox. The mode bits then apply to root, too.
	noCapabilities bool
}

// Identify returns the identity of the workers. A dynamic user owns no file and is in no group, so its identity has the UID
// -1 and no GIDs.
func Identify(r units.RunAs) (Identity, error) {
	if r.Dynamic() {
		return Identity{Name: "a dynamic user", UID: -1}, nil
	}
	u, err := LookupUser(r.User)
	if err != nil {
		return Identity{}, fmt.Errorf("there is no user %q", r.User)
	}
	id := Identity{Name: "user " + u.Username}
	id.UID, _ = strconv.Atoi(u.Uid)
	ids, _ := u.GroupIds()
	if r.Group != "" {
		if g, err := LookupGroup(r.Group); err == nil {
			ids = append(ids, g.Gid)
		}
	}
	for _, s := range append(ids, u.Gid) {
		if n, err := strconv.Atoi(s); err == nil {
			id.GIDs = append(id.GIDs, n)
		}
	}
	return id, nil
}

// BlockedBy returns the first part of the path that blocks the identity: a directory that the identity may not enter, or a
// file that it may not execute. BlockedBy returns "" if no part blocks the identity. A part with an ACL does not count,
// because BlockedBy reads only mode bits.
func (id Identity) BlockedBy(path string) string {
	if id.UID == 0 && !id.noCapabilities {
		return ""
	}
	end, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	at := "/"
	for part := range strings.SplitSeq(strings.Trim(end, "/"), "/") {
		at = filepath.Join(at, part)
		info, err := os.Stat(at)
		if err != nil {
			return ""
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && !id.hasRight(st, toExecute) && !HasACL(at) {
			return at
		}
	}
	return ""
}

// The constants toExecute and toRead are the rights that [Identity.has] checks. The values are the mode bits for other
// users.
const (
	toExecute = 0o1
	toRead    = 0o4
)

// hasRight reports whether the mode bits of a file give the identity the right.
func (id Identity) hasRight(st *syscall.Stat_t, right uint32) bool {
	switch {
	case id.UID == 0 && !id.noCapabilities:
		return true
	case int(st.Uid) == id.UID:
		return st.Mode&(right<<6) != 0
	case slices.Contains(id.GIDs, int(st.Gid)):
		return st.Mode&(right<<3) != 0
	}
	return st.Mode&right != 0
}

// HasACL reports whether a file has an access control list. The list can allow access that the mode bits deny.
func HasACL(path string) bool {
	n, err := syscall.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// LookupUser returns the user with the given name or number.
func LookupUser(s string) (*user.User, error) {
	u, err := user.Lookup(s)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return user.LookupId(s)
	}
	return u, err
}

// LookupGroup returns the group with the given name or number.
func LookupGroup(s string) (*user.Group, error) {
	g, err := user.LookupGroup(s)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		return user.LookupGroupId(s)
	}
	return g, err
}
