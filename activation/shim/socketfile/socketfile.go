// Package socketfile changes the owner and the mode of the file of a Unix socket in a directory that others may write.
package socketfile

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrNotSocket: the path does not lead to a socket that has this name alone. Somebody may have put another file there.
var ErrNotSocket = errors.New("it is not a socket of this one name")

// Set changes the owner of the socket at path, and its mode unless that is 0. Whoever may write the directory could replace
// the file at any moment. So Set follows no link in its place, and looks at the very file that it changes: a hard link to
// somebody else's file has a second name.
func Set(path string, uid, gid int, mode fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Nlink != 1 {
		return &fs.PathError{Op: "chown", Path: path, Err: ErrNotSocket}
	}
	if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	if mode == 0 {
		return nil
	}
	// chmod(2) of the file behind an O_PATH descriptor.
	if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: errors.Unwrap(err)}
	}
	return nil
}
