package units

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// SocketAccess holds the owner and the mode of Unix sockets that are files. The owner and the mode decide who may connect.
// Abstract sockets have no owner and no mode.
type SocketAccess struct {
	// Mode is SocketMode=; 0 means 0660.
	Mode uint16
	// User and Group own the file (SocketUser=, SocketGroup=). An empty User means the workers' user, or root if that user
	// is dynamic. An empty Group means the workers' group if User is empty, and the primary group of User if User is set.
	User, Group string
}

// defaultSocketMode lets the owner, the group and root connect.
const defaultSocketMode = 0o660

const socketModeHint = "use 0660 (owner and group) or 0666 (every local user)"

// ParseSocketMode parses an octal mode, such as 0660 or 660.
func ParseSocketMode(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil || len(s) > 4 || len(s) < 3 || n > 0o777 || n == 0 {
		return 0, fieldErrorf("socket-mode", socketModeHint, "%q is not an octal mode", s)
	}
	return uint16(n), nil
}

// FormatSocketMode returns the mode in the form that [ParseSocketMode] reads.
func FormatSocketMode(mode uint16) string { return fmt.Sprintf("%04o", mode) }

// The method file reports whether the listener is a Unix socket that is not abstract.
func (l Listener) file() bool { return l.Network == Unix && strings.HasPrefix(l.Path, "/") }

// SocketFiles returns the paths of the Unix listeners that are not abstract.
func (a App) SocketFiles() []string {
	var paths []string
	for _, l := range a.Listen {
		if l.file() {
			paths = append(paths, l.Path)
		}
	}
	return paths
}

// socketInReach reports whether the workers' user may be able to replace a socket by a symbolic link. The user can replace
// sockets in directories that the workers may write to. socketInReach assumes that the user may write to all directories
// outside /run.
//
// After the bind, PID 1 changes the owner of the file at the path of the socket, and follows symbolic links to any file. So
// if a user may be able to replace a socket, the shim changes the owners of all sockets of the app.
func (a App) socketInReach() bool {
	return slices.ContainsFunc(a.SocketFiles(), func(p string) bool {
		return !isBelow(p, "/run") && !isBelow(p, "/var/run") ||
			slices.ContainsFunc(a.WritableTrees(), func(dir string) bool { return isBelow(p, dir) })
	})
}

// SocketAccess returns the owner and the mode of the app's sockets, with defaults. If the user is dynamic, root owns the
// sockets, because PID 1 creates them before the user exists.
func (a App) SocketAccess() SocketAccess {
	s := a.Socket
	s.Mode = cmp.Or(s.Mode, defaultSocketMode)
	if s.User == "" {
		s.User = a.RunAs.User
		if s.Group == "" {
			s.Group = a.RunAs.Group
		}
	}
	return s
}

// The method Unprobed returns the app without SocketAccess if the app has no listeners. Before a probe has found the
// listeners, Validate would refuse SocketAccess.
func (a App) Unprobed() App {
	if len(a.Listen) == 0 {
		a.Socket = SocketAccess{}
	}
	return a
}

func (a App) validateSocketAccess(add func(error)) {
	add(checkUser("socket-user", a.Socket.User))
	add(checkUser("socket-group", a.Socket.Group))
	if a.Socket.Mode > 0o777 {
		add(fieldErrorf("socket-mode", socketModeHint, "%#o is not an octal mode", a.Socket.Mode))
	}
	if a.Socket == (SocketAccess{}) || slices.ContainsFunc(a.Listen, Listener.file) {
		return
	}
	field := "socket-group"
	switch {
	case a.Socket.Mode != 0:
		field = "socket-mode"
	case a.Socket.User != "":
		field = "socket-user"
	}
	add(fieldErrorf(field, "add --listen /run/"+string(a.Name)+".sock", "applies only to Unix sockets, and the app has no Unix socket"))
}
