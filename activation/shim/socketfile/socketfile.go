// Package socketfile changes the owner and the mode of the file of a Unix socket in a directory to which other users may
// write.
package socketfile

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrNotSocket means that the file at the path is not a socket, or has more than one name (hard link).
var ErrNotSocket = errors.New("the file is not a socket, or has more than one name")

// Set changes the owner of the socket at path, and its mode unless mode is 0. A user who may write to the directory could
// replace the socket by another file at any time. So Set does not follow a symbolic link. Instead, Set opens the file, and
// then checks and changes the open file. A file with a second name could be a hard link to a file of another user, so Set
// returns ErrNotSocket.
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
	// fchmod(2) does not work on a descriptor with O_PATH, but chmod(2) on its link in /proc does.
	if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: errors.Unwrap(err)}
	}
	return nil
}
