package probe

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// seen is a bind with its decoy.
type seen struct {
	contract.ProbeBind
	path  string // of a Unix socket
	decoy int
	inode uint64
}

// prober answers the calls of the program under probe.
type prober struct {
	machine seccomp.Machine
	fd      seccomp.FD
	seen    []seen
	own     []string // Unix sockets that the app has, or is asked to have
	removed []string // Unix sockets that the program believes to be removed
	members []uint64 // inodes of sockets that joined a multicast group before bind
	heard   int      // sockets that the program listens on, or datagram sockets
	n       seccomp.Notification
	r       target.Reader
}

// calls counts what the program has done about sockets so far.
func (p *prober) calls() int { return p.heard + len(p.seen) }

// answer handles one notification. An error is one of our own means.
func (p *prober) answer() error {
	if p.fd.Receive(&p.n) != 0 {
		return nil // gone meanwhile
	}
	tid, fd := p.n.PID, uint32(p.n.Args[0])
	switch nr := uint32(p.n.Nr); {
	case tid == 0:
	case nr == p.machine.Bind:
		return p.bind(tid, fd)
	case nr == p.machine.Listen:
		if s := p.find(tid, fd); s != nil {
			s.Listening = true
			s.Backlog = int(int32(p.n.Args[1]))
			p.heard++
			p.fd.Return(p.n.ID, 0)
			return nil
		}
	case nr == p.machine.Accept || nr == p.machine.Accept4:
		if s := p.find(tid, fd); s != nil && !nonBlocking(s.decoy) {
			// Nobody is there and never will be. Left unanswered, the thread
			// waits, as it would in the kernel.
			s.BlockingAccept = true
			return nil
		}
	case nr == p.machine.Setsockopt:
		p.joins(tid, fd)
	}
	if p.unixCall(tid, uint32(p.n.Nr)) {
		return nil
	}
	p.fd.Continue(p.n.ID)
	return nil
}

// bind replaces a socket that asks for a port or a path of its own choice.
func (p *prober) bind(tid, fd uint32) error {
	kind, e := p.r.Kind(tid, fd)
	var a target.Addr
	ok := false
	if e == 0 && kind != target.Unknown {
		ok, e = p.r.Sockaddr(tid, p.n.Args[1], p.n.Args[2]&0xffffffff, &a)
	}
	if !p.fd.Valid(p.n.ID) {
		return nil
	}
	// Port 0 is any port: nothing that could be shared, and a client as a rule.
	if e != 0 || !ok || a.Family != unix.AF_UNIX && a.Port == 0 || a.Family == unix.AF_UNIX && len(a.Path()) == 0 {
		p.fd.Continue(p.n.ID)
		return nil
	}
	flags, _ := p.r.Flags(tid, fd)
	d, err := decoy(kind, a.Port, target.NonBlocking(flags))
	if err != nil {
		return errors.New("making a stand-in for " + a.String() + ": " + err.Error())
	}
	s := seen{decoy: d}
	s.Family, s.Type = words(kind)
	p.look(tid, fd, kind, &s.ProbeBind)
	s.Multicast = p.joined(tid, fd, &a)
	if path := a.Path(); len(path) > 0 && path[0] != 0 {
		full := p.absolute(tid, unix.AT_FDCWD, string(path))
		s.Private = private(tid, full)
		if len(full) < unix.SizeofSockaddrUnix-2 {
			a.SetPath(full)
		}
		if umask, ok := p.r.Umask(tid); ok {
			s.Mode = octal(0o777 &^ umask)
		}
	}
	s.Address, s.Port, s.path = a.Host(), a.Port, string(a.Path())
	var st unix.Stat_t
	if err := unix.Fstat(d, &st); err != nil {
		unix.Close(d)
		return err
	}
	s.inode = st.Ino
	cloexec := uint32(0)
	if target.CloseOnExec(flags) {
		cloexec = unix.O_CLOEXEC
	}
	if e := p.fd.Replace(p.n.ID, d, fd, cloexec); e != 0 {
		unix.Close(d)
		p.fd.Continue(p.n.ID)
		return nil
	}
	p.fd.Return(p.n.ID, 0)
	p.seen = append(p.seen, s)
	if kind == target.UDP4 || kind == target.UDP6 {
		p.heard++
	}
	return nil
}

func (p *prober) find(tid, fd uint32) *seen {
	inode, ok := p.r.Inode(tid, fd)
	for i := range p.seen {
		if ok && p.seen[i].inode == inode {
			return &p.seen[i]
		}
	}
	return nil
}

// finish closes the decoys and returns the binds, each address once: workers that
// all bind the same port with SO_REUSEPORT are one bind.
func (p *prober) finish(watched func(inode uint64) bool) []contract.ProbeBind {
	var out []contract.ProbeBind
	for i := range p.seen {
		s := &p.seen[i]
		s.NonBlocking = nonBlocking(s.decoy)
		s.Epoll = watched(s.inode)
		unix.Close(s.decoy)
		if !merge(out, &s.ProbeBind) {
			out = append(out, s.ProbeBind)
		}
	}
	return out
}

func merge(list []contract.ProbeBind, b *contract.ProbeBind) bool {
	for i := range list {
		x := &list[i]
		if x.Family != b.Family || x.Type != b.Type || x.Address != b.Address || x.Port != b.Port {
			continue
		}
		x.Listening = x.Listening || b.Listening
		x.Backlog = max(x.Backlog, b.Backlog)
		x.NonBlocking = x.NonBlocking || b.NonBlocking
		x.Epoll = x.Epoll || b.Epoll
		x.BlockingAccept = x.BlockingAccept || b.BlockingAccept
		x.Multicast = x.Multicast || b.Multicast
		return true
	}
	return false
}

func nonBlocking(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_NONBLOCK != 0
}

// The probe's own times.
const (
	DefaultSettle = 500 * time.Millisecond
	grace         = 2 * time.Second // between SIGTERM and SIGKILL
)
