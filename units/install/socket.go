package install

import (
	"errors"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// RemoveSocket removes the file of a closed Unix socket. The directories above it may belong to the user of a worker, so it
// follows no symbolic link, and removes only a socket. A missing file is not an error.
func RemoveSocket(path string) error {
	// /var/run is a symbolic link to /run, so systemd created the socket below /run.
	if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
		path = "/run/" + rest
	}
	dir, err := unix.Openat2(unix.AT_FDCWD, filepath.Dir(path), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.ELOOP) {
		err = errors.New("a directory in the path is a symbolic link")
	}
	if err != nil {
		return &Error{Op: "removing the socket", Path: path, Err: err}
	}
	defer unix.Close(dir)
	base := filepath.Base(path)
	var stat unix.Stat_t
	if err = unix.Fstatat(dir, base, &stat, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return nil
		}
		err = unix.Unlinkat(dir, base, 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return &Error{Op: "removing the socket", Path: path, Err: err}
	}
	return nil
}
