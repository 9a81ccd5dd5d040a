package inspect

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// bound is a listener on a file: its inode, and the lower 32 bits of the inode number of the file.
type bound struct {
	socket uint64
	file   uint32
}

// Lost reports whether PID 1 listens on the path but clients cannot reach the listener, because the file is gone or belongs
// to another socket. Lost returns false if this cannot be determined.
func (s *Sockets) Lost(path string, h Host) bool {
	if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
		path = "/run/" + rest // systemd opens it under this path
	}
	listeners := s.files[path]
	if len(listeners) == 0 {
		return false
	}
	info, err := os.Lstat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Type() != fs.ModeSocket {
		return true
	}
	if len(listeners) > 1 {
		// Another process has bound the path, too. Only root can find out which listener belongs to PID 1.
		held, ok := h.SocketsOf([]int{1})
		if !ok {
			return false
		}
		for _, l := range listeners {
			if held[l.socket] && l.file == uint32(st.Ino) {
				return false
			}
		}
		return true
	}
	return listeners[0].file != uint32(st.Ino)
}
