package install

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attrs are file attributes that an administrator may have changed. A new version of the file gets the same attributes.
type attrs struct {
	mode fs.FileMode
	// owner is nil for a file that does not exist yet.
	owner *fileOwner
}

// fileOwner is the owner of a file and its ACL in the kernel's format (acl(5), system.posix_acl_access).
type fileOwner struct {
	UID int    `json:"uid"`
	GID int    `json:"gid"`
	ACL []byte `json:"acl,omitempty"`
}

// likeNew returns the attributes of a file that we create.
func likeNew(mode fs.FileMode) attrs { return attrs{mode: mode} }

const aclName = "system.posix_acl_access"

// attrsOf reads the attributes of an open file.
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

// set sets the attributes of a new file. The mode comes last, because it limits what the ACL permits.
func (a attrs) set(f *os.File) error {
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

// foreignOwner returns the owner of a file, and true if the owner is neither root nor the current user.
func foreignOwner(info fs.FileInfo) (uid int, foreign bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), int(stat.Uid) != os.Geteuid() && stat.Uid != 0
}
