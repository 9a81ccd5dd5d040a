package adopt

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// A server on a Unix socket removes the path before it binds, changes the mode after the bind, and removes the path when it
// stops. Some servers first connect to the path, to check whether another server listens. But the file belongs to the
// listener of systemd, which all instances share. So calls that would remove or change this file succeed without effect,
// and connect(2) to the path fails with ECONNREFUSED until the program has bound the path.
//
// The program may change a path after the notifier has read it and before the kernel does. The program gains nothing by
// this, because the kernel checks the permissions of its user in any case.

// pathCall describes a call that names one or two paths. The argument with the number dir is the directory of the path,
// and the argument with the number at is the path. The fields dir2 and at2 describe the second path in the same way. A
// path without an argument for its directory (-1) is relative to the working directory.
type pathCall struct {
	nr       uint32
	dir, at  int8
	dir2     int8
	at2      int8 // -1: the call names one path
	removing bool
}

// pathCalls returns the calls that name paths. pathCalls runs after the fork, so it does not allocate.
func (n *notifier) pathCalls() [11]pathCall {
	p := &n.machine.Path
	return [11]pathCall{
		{p.Unlink, -1, 0, -1, -1, true},
		{p.Unlinkat, 0, 1, -1, -1, true},
		{p.Rename, -1, 0, -1, 1, true},
		{p.Renameat, 0, 1, 2, 3, true},
		{p.Renameat2, 0, 1, 2, 3, true},
		{p.Chmod, -1, 0, -1, -1, false},
		{p.Fchmodat, 0, 1, -1, -1, false},
		{p.Fchmodat2, 0, 1, -1, -1, false},
		{p.Chown, -1, 0, -1, -1, false},
		{p.Lchown, -1, 0, -1, -1, false},
		{p.Fchownat, 0, 1, -1, -1, false},
	}
}

// The method path responds to the call with the number nr if this call names a path, and returns false for any other
// call. If the path is the file of a listener, the call succeeds without effect.
func (n *notifier) path(nr uint32) bool {
	calls := n.pathCalls()
	for i := range calls {
		c := &calls[i]
		if c.nr == 0 || c.nr != nr {
			continue
		}
		l := n.listenerNamed(c.dir, c.at)
		if l == nil && c.at2 >= 0 {
			if l = n.listenerNamed(c.dir2, c.at2); l != nil {
				n.logRename(l)
			}
		}
		if l == nil {
			n.proceed()
			return true
		}
		if c.removing {
			l.bound = false
		}
		if n.seccomp.Valid(n.n.ID) {
			n.seccomp.Return(n.n.ID, 0)
		}
		return true
	}
	return false
}

// listenerNamed returns the listener whose file the call names, or nil.
func (n *notifier) listenerNamed(dir, at int8) *Listener {
	dirfd := int32(unix.AT_FDCWD)
	if dir >= 0 {
		dirfd = int32(n.n.Args[dir])
	}
	size, ok, e := n.r.Text(n.n.PID, n.n.Args[at], &n.text)
	if e != 0 {
		n.logUnreadable(n.n.PID, e)
	}
	if e != 0 || !ok {
		return nil
	}
	return n.file(n.n.PID, dirfd, n.text[:size])
}

// file returns the listener whose file is at the path, as thread tid resolves it, or nil.
func (n *notifier) file(tid uint32, dirfd int32, path []byte) *Listener {
	dir, base := target.SplitPath(path)
	for i := range n.ls {
		if n.ls[i].isFile(tid, dirfd, dir, base, &n.r) {
			return &n.ls[i]
		}
	}
	return nil
}

// isFile reports whether base in dir is the file of l. isFile compares the inodes of the directories. isFile returns false
// if the thread may not search the directory, because then it cannot change the file either.
func (l *Listener) isFile(tid uint32, dirfd int32, dir, base []byte, r *target.Reader) bool {
	if l.Want.Path == "" || l.Want.Path[0] != '/' {
		return false
	}
	at := strings.LastIndexByte(l.Want.Path, '/') + 1
	if len(base) == 0 || string(base) != l.Want.Path[at:] {
		return false
	}
	theirs, ok := r.Directory(tid, dirfd, dir)
	if !ok {
		return false
	}
	ours, ok := r.Here(l.Want.Path[:at])
	return ok && ours == theirs
}

// The method connect refuses a connection to a Unix listener that the program has not bound yet. Such a program checks
// whether another server listens, and would reach its own listener.
func (n *notifier) connect() {
	tid := n.n.PID
	// An error is not logged here: most processes that connect are clients of the log or of a database.
	ok, e := n.r.Sockaddr(tid, n.n.Args[1], n.n.Args[2]&0xffffffff, &n.addr)
	if e != 0 || !ok || n.addr.Family != unix.AF_UNIX || len(n.addr.Path()) == 0 {
		n.proceed()
		return
	}
	l := n.unixListener(tid, &n.addr)
	if l == nil || l.bound {
		n.proceed()
		return
	}
	if n.seccomp.Valid(n.n.ID) {
		n.seccomp.Fail(n.n.ID, unix.ECONNREFUSED)
	}
}

// unixListener returns the listener at the AF_UNIX address a, as thread tid resolves it, or nil.
func (n *notifier) unixListener(tid uint32, a *target.Addr) *Listener {
	for i := range n.ls {
		if n.ls[i].names(a) {
			return &n.ls[i]
		}
	}
	if a.Path()[0] == 0 {
		return nil
	}
	return n.file(tid, unix.AT_FDCWD, a.Path())
}

// replacePath replaces the path in n.addr by Want.Path of the listener whose file is at the path, so that match finds the
// listener.
func (n *notifier) replacePath(tid uint32) {
	if n.addr.Family != unix.AF_UNIX || len(n.addr.Path()) == 0 {
		return
	}
	if l := n.unixListener(tid, &n.addr); l != nil && l.Want.Path[0] == '/' {
		n.addr.SetPath(l.Want.Path)
	}
}

// paths returns the paths in Want of the listeners.
func paths(ls []Listener) (list []string) {
	for i := range ls {
		if p := ls[i].Want.Path; p != "" {
			list = append(list, p)
		}
	}
	return list
}
