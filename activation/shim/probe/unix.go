package probe

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// A server on a Unix socket removes the path before it binds, and changes the mode after the bind. But a running instance
// may listen on the path, and the decoy of the program has no path. So calls that would remove, rename or change a Unix
// socket succeed without effect.

// anyPath returns paths whose addresses have the lengths of IPv4 and IPv6 addresses, so that the filter passes every
// connect(2).
func anyPath() []string { return []string{strings.Repeat("/", 14), strings.Repeat("/", 26)} }

// unixCall responds to a call about the path of a Unix socket. unixCall returns false for any other call.
func (p *prober) unixCall(tid, nr uint32) bool {
	if nr == p.machine.Connect {
		return p.connect(tid)
	}
	c := &p.machine.Path
	dirs, at := []int{-1}, []int{0}
	switch nr {
	case c.Unlinkat, c.Fchmodat, c.Fchmodat2, c.Fchownat:
		dirs, at = []int{0}, []int{1}
	case c.Rename:
		dirs, at = []int{-1, -1}, []int{0, 1}
	case c.Renameat, c.Renameat2:
		dirs, at = []int{0, 2}, []int{1, 3}
	case c.Unlink, c.Chmod, c.Chown, c.Lchown:
	default:
		return false
	}
	var paths []string
	for i := range at {
		path, ok := p.pathAt(tid, dirs[i], at[i])
		if !ok {
			return false
		}
		paths = append(paths, path)
	}
	if !slices.ContainsFunc(paths, p.isProtected) || !p.fd.Valid(p.n.ID) {
		return false
	}
	switch nr {
	case c.Unlink, c.Unlinkat, c.Rename, c.Renameat, c.Renameat2:
		if !slices.Contains(p.removed, paths[0]) {
			p.removed = append(p.removed, paths[0])
		}
	case c.Chmod:
		p.setMode(paths[0], uint32(p.n.Args[1]))
	case c.Fchmodat, c.Fchmodat2:
		p.setMode(paths[0], uint32(p.n.Args[2]))
	}
	p.fd.Return(p.n.ID, 0)
	return true
}

// isProtected reports whether the path is a Unix socket of the app or of another program, which the probe must
// not remove or change.
func (p *prober) isProtected(path string) bool {
	if slices.Contains(p.own, path) || p.boundTo(path) != nil {
		return true
	}
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

// boundTo returns the bind to the path, or nil.
func (p *prober) boundTo(path string) *boundDecoy {
	for i := range p.bound {
		if p.bound[i].path == path {
			return &p.bound[i]
		}
	}
	return nil
}

// setMode records the mode that the program gives its socket.
func (p *prober) setMode(path string, mode uint32) {
	if s := p.boundTo(path); s != nil {
		s.Mode = octal(mode & 0o777)
	}
}

// The method connect refuses a connection to a Unix socket of the app. It returns false for any other connection. A
// program that connects to its own socket checks whether another server listens, and would find an instance of its own
// app.
func (p *prober) connect(tid uint32) bool {
	var a target.Addr
	ok, e := p.r.Sockaddr(tid, p.n.Args[1], p.n.Args[2]&0xffffffff, &a)
	if e != 0 || !ok || len(a.Path()) == 0 || a.Path()[0] == 0 {
		return false
	}
	path := p.absolutePath(tid, unix.AT_FDCWD, string(a.Path()))
	if !slices.Contains(p.own, path) && !slices.Contains(p.removed, path) || !p.fd.Valid(p.n.ID) {
		return false
	}
	p.fd.Fail(p.n.ID, unix.ECONNREFUSED)
	return true
}

// pathAt returns the absolute path of argument at, which may be relative to the directory of argument dir.
func (p *prober) pathAt(tid uint32, dir, at int) (string, bool) {
	dirfd := int32(unix.AT_FDCWD)
	if dir >= 0 {
		dirfd = int32(p.n.Args[dir])
	}
	var text [target.MaxPath]byte
	n, ok, e := p.r.Text(tid, p.n.Args[at], &text)
	if e != 0 || !ok || n == 0 {
		return "", false
	}
	return p.absolutePath(tid, dirfd, string(text[:n])), true
}

// absolutePath returns the absolute form of the path without resolving links. If the directory cannot be read,
// absolutePath returns the path unchanged.
func (p *prober) absolutePath(tid uint32, dirfd int32, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	link := "/proc/" + strconv.Itoa(int(tid)) + "/cwd"
	if dirfd != unix.AT_FDCWD {
		link = "/proc/" + strconv.Itoa(int(tid)) + "/fd/" + strconv.Itoa(int(dirfd))
	}
	dir, err := os.Readlink(link)
	if err != nil {
		return path
	}
	return filepath.Join(dir, path)
}

// isPrivate reports whether only processes of the program can find the path. Either the sandbox gives each app its own copy
// of the directory, or the name contains the process id, as names of sockets between processes of one program do.
func isPrivate(tid uint32, path string) bool {
	for _, dir := range []string{"/tmp/", "/var/tmp/", "/dev/shm/"} {
		if strings.HasPrefix(path, dir) {
			return true
		}
	}
	digit := func(c rune) bool { return c >= '0' && c <= '9' }
	numbers := strings.FieldsFunc(filepath.Base(path), func(c rune) bool { return !digit(c) })
	return slices.Contains(numbers, strconv.Itoa(int(tid)))
}
