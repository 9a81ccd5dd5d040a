// Package statefile reads and replaces the small files in /run/clusterctl that only root writes.
package statefile

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// maxSize is larger than any of these files.
const maxSize = 4096

// Read returns the content of a file, or nil if it cannot be read. Read does not follow a link and does not wait for a
// FIFO.
func Read(path string) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var b [maxSize]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return nil
	}
	return b[:n]
}

// Replace writes a file by rename, so a kill at any instruction leaves the old file or the new one. Replace does not call
// fsync, because /run is in memory.
func Replace(path string, data []byte) error {
	temp := path + contract.NewSuffix
	// Remove the file of a writer that was killed, or any other file with this name.
	_ = unix.Unlink(temp)
	fd, err := unix.Open(temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return errors.New("writing " + temp + ": " + err.Error())
	}
	n, err := unix.Write(fd, data)
	if err == nil && n < len(data) {
		err = unix.ENOSPC
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return errors.New("writing " + temp + ": " + err.Error())
	}
	if err := unix.Rename(temp, path); err != nil {
		return errors.New("renaming " + temp + ": " + err.Error())
	}
	return nil
}
