package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/clusterctl/clusterctl/units"
	"golang.org/x/sys/unix"
)

// attrs holds the attributes of a file. An administrator may have changed these attributes. A new version of the file gets
// the same attributes.
type attrs struct {
	mode fs.FileMode
	// owner is nil for a file that does not exist yet.
	owner *fileOwner
}

// fileOwner holds the owner and the ACL of a file. The ACL is in the kernel's format (acl(5), system.posix_acl_access).
type fileOwner struct {
	UID int    `json:"uid"`
	GID int    `json:"gid"`
	ACL []byte `json:"acl,omitempty"`
}

const aclName = "system.posix_acl_access"

func attrsOf(f *os.File, info fs.FileInfo) (attrs, error) {
	a := attrs{mode: info.Mode().Perm()}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return a, nil
	}
	a.owner = &fileOwner{UID: int(st.Uid), GID: int(st.Gid)}
	buf := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Fgetxattr(int(f.Fd()), aclName, buf)
	switch {
	case err == nil:
		a.owner.ACL = buf[:n:n]
	case !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP):
		return a, err
	}
	return a, nil
}

// applyTo gives a new file the attributes. The mode is set last, because it limits the permissions in the ACL.
func (a attrs) applyTo(f *os.File) error {
	if a.owner == nil {
		return f.Chmod(a.mode)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != a.owner.UID || int(st.Gid) != a.owner.GID) {
		if err := f.Chown(a.owner.UID, a.owner.GID); err != nil {
			return err
		}
	}
	if len(a.owner.ACL) > 0 {
		if err := unix.Fsetxattr(int(f.Fd()), aclName, a.owner.ACL, 0); err != nil {
			return &fs.PathError{Op: "setting the ACL of", Path: f.Name(), Err: err}
		}
	}
	return f.Chmod(a.mode)
}

// makePrivate makes a state directory accessible only to its owner, because the old sources in it may contain
// secrets.
func (d *dir) makePrivate() error {
	info, err := d.root.Stat(".")
	if err != nil {
		return pathError("reading", d.path, err)
	}
	if err := checkState(d.path, info); err != nil {
		return err
	}
	if info.Mode().Perm()&^stateMode == 0 {
		return nil
	}
	d.step("chmod %s", d.path)
	if err := d.root.Chmod(".", stateMode); err != nil {
		return pathError("restricting", d.path, err)
	}
	return nil
}

// checkState returns an [*UnsafeStateError] if a directory belongs to another user, or if other users can write to it.
func checkState(name string, info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return &UnsafeStateError{Path: name, Owner: int(stat.Uid)}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &UnsafeStateError{Path: name, Owner: -1}
	}
	return nil
}

// safeState checks the directory of an intent and the two directories above it, before the intent is read.
func (s Store) safeState(app units.Name) error {
	for _, name := range []string{s.State, s.stateDir(app), filepath.Join(s.stateDir(app), pendingDir)} {
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return pathError("reading", name, err)
		}
		if err := checkState(name, info); err != nil {
			return err
		}
	}
	return nil
}
