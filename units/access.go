package units

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// SocketAccess is who may connect to the Unix listeners that are files. Abstract names have no owner and no mode.
type SocketAccess struct {
	// Mode is SocketMode=; 0 means [DefaultSocketMode].
	Mode uint16
	// User and Group own the file (SocketUser=, SocketGroup=). An empty User means the workers' user, or root for a dynamic
	// one; an empty Group means the workers' group, or the primary group of User.
	User, Group string
}

// DefaultSocketMode lets the owner, the group and root connect.
const DefaultSocketMode = 0o660

const socketModeHint = "use 0660 (owner and group) or 0666 (every local user)"

// ParseSocketMode reads an octal mode: 0660 or 660.
func ParseSocketMode(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil || len(s) > 4 || len(s) < 3 || n > 0o777 || n == 0 {
		return 0, fieldErrorf("socket-mode", socketModeHint, "%q is not an octal mode", s)
	}
	return uint16(n), nil
}

// FormatSocketMode writes the mode as [ParseSocketMode] reads it.
func FormatSocketMode(mode uint16) string { return fmt.Sprintf("%04o", mode) }

// file says whether the listener is a file in the file system.
func (l Listener) file() bool { return l.Network == Unix && strings.HasPrefix(l.Path, "/") }

// SocketFiles are the paths of the Unix listeners that are files.
func (a App) SocketFiles() []string {
	var paths []string
	for _, l := range a.Listen {
		if l.file() {
			paths = append(paths, l.Path)
		}
	}
	return paths
}

// socketInReach reports whether the workers' user may be able to put a link in the place of a socket: it is in a directory that
// the workers may write, or not in /run, where directories belong to root.
//
// PID 1 changes the owner of a socket by its path, after the bind, and follows links to any file. So the shim changes the
// owners of all sockets of such an app.
func (a App) socketInReach() bool {
	return slices.ContainsFunc(a.SocketFiles(), func(p string) bool {
		return !below(p, "/run") && !below(p, "/var/run") ||
			slices.ContainsFunc(a.WritableTrees(), func(dir string) bool { return below(p, dir) })
	})
}

// SocketAccess returns the access with its defaults filled in. PID 1 makes the sockets before a dynamic user exists, so
// root owns these sockets. An empty Group means the primary group of User, or root's.
func (a App) SocketAccess() SocketAccess {
	s := a.Socket
	if s.Mode == 0 {
		s.Mode = DefaultSocketMode
	}
	if s.User == "" {
		s.User = a.RunAs.User
		if s.Group == "" {
			s.Group = a.RunAs.Group
		}
	}
	return s
}

// Unprobed returns the app as it is while a probe has still to find out what it listens on: without who may connect.
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
	field := "socket-mode"
	switch {
	case a.Socket.Mode != 0:
	case a.Socket.User != "":
		field = "socket-user"
	default:
		field = "socket-group"
	}
	add(fieldErrorf(field, "add --listen /run/"+string(a.Name)+".sock", "is for a Unix socket, and the app listens on none"))
}
