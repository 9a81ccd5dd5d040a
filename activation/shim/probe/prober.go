package probe

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/seccomp"
	"github.com/clusterctl/clusterctl/activation/shim/sockopt"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// boundDecoy is a bind of the program, and the decoy that has replaced its socket.
type boundDecoy struct {
	contract.ProbeBind
	path  string // path of a Unix socket
	decoy int
	inode uint64
}

// prober responds to the calls of the program that the filter passes.
type prober struct {
	machine     seccomp.Machine
	fd          seccomp.FD
	bound       []boundDecoy
	own         []string // paths of Unix sockets of the app; see Config.Own
	removed     []string // paths of Unix sockets that the program believes it has removed
	members     []uint64 // inodes of sockets that joined a multicast group before bind
	listenCalls int      // number of listen(2) calls, plus number of bound datagram sockets
	n           seccomp.Notification
	r           target.Reader
}

// The method calls returns the number of bind(2) and listen(2) calls so far.
func (p *prober) calls() int { return p.listenCalls + len(p.bound) }

// The method answer receives one call and responds to it. It returns an error only if the prober itself fails.
func (p *prober) answer() error {
	if p.fd.Receive(&p.n) != 0 {
		return nil // the call has ended
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
			p.listenCalls++
			p.fd.Return(p.n.ID, 0)
			return nil
		}
	case nr == p.machine.Accept || nr == p.machine.Accept4:
		if s := p.find(tid, fd); s != nil && !nonBlocking(s.decoy) {
			// Do not respond, so that the thread waits. If the kernel executed the accept, the thread would wait
			// too, because no client can connect.
			s.BlockingAccept = true
			return nil
		}
	case nr == p.machine.Setsockopt:
		p.join(tid, fd)
	}
	if p.unixCall(tid, uint32(p.n.Nr)) {
		return nil
	}
	p.fd.Continue(p.n.ID)
	return nil
}

// The method bind replaces a socket by a decoy if the program binds a port or a path.
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
	// Port 0 means any free port, which workers cannot share. Such a socket usually belongs to a client.
	if e != 0 || !ok || a.Family != unix.AF_UNIX && a.Port == 0 || a.Family == unix.AF_UNIX && len(a.Path()) == 0 {
		p.fd.Continue(p.n.ID)
		return nil
	}
	flags, _ := p.r.Flags(tid, fd)
	d, err := decoy(kind, a.Port, target.NonBlocking(flags))
	if err != nil {
		return errors.New("making a decoy for " + a.String() + ": " + err.Error())
	}
	s := boundDecoy{decoy: d}
	s.Family, s.Type = words(kind)
	p.readOptions(tid, fd, kind, &s.ProbeBind)
	s.Multicast = p.isMulticast(tid, fd, &a)
	if path := a.Path(); len(path) > 0 && path[0] != 0 {
		full := p.absolutePath(tid, unix.AT_FDCWD, string(path))
		s.Private = isPrivate(tid, full)
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
	p.bound = append(p.bound, s)
	if kind == target.UDP4 || kind == target.UDP6 {
		p.listenCalls++
	}
	return nil
}

func (p *prober) find(tid, fd uint32) *boundDecoy {
	inode, ok := p.r.Inode(tid, fd)
	for i := range p.bound {
		if ok && p.bound[i].inode == inode {
			return &p.bound[i]
		}
	}
	return nil
}

// The method finish closes the decoys and returns the binds, with each address once: several workers may bind the same
// port with SO_REUSEPORT.
func (p *prober) finish(watched func(inode uint64) bool) []contract.ProbeBind {
	var out []contract.ProbeBind
	for i := range p.bound {
		s := &p.bound[i]
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

// Default times of a probe.
const (
	DefaultSettle = 500 * time.Millisecond
	grace         = 2 * time.Second // time between SIGTERM and SIGKILL
)

// readOptions stores the options of the program's socket in b, before a decoy replaces the socket. readOptions cannot
// read the options in a container that refuses pidfd_getfd(2).
func (p *prober) readOptions(tid, fd uint32, k target.Kind, b *contract.ProbeBind) {
	s, e := p.r.Socket(tid, fd)
	if e != 0 {
		return
	}
	defer unix.Close(s)
	var set sockopt.Set
	if set.Read(s) == 0 {
		b.Options = set.Values()
	}
	if k == target.TCP6 || k == target.UDP6 {
		v, err := unix.GetsockoptInt(s, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		b.V6Only = v != 0 && err == nil
	}
}

// The method join records that a socket joins a multicast group. The socket is a decoy, or the program has not bound it
// yet.
func (p *prober) join(tid, fd uint32) {
	if s := p.find(tid, fd); s != nil {
		s.Multicast = true
		return
	}
	if inode, ok := p.r.Inode(tid, fd); ok && len(p.members) < maxMembers {
		p.members = append(p.members, inode)
	}
}

// maxMembers limits the number of inodes in members.
const maxMembers = 1000

// isMulticast reports whether the socket has joined a multicast group, or whether a is the address of a multicast group.
func (p *prober) isMulticast(tid, fd uint32, a *target.Addr) bool {
	inode, ok := p.r.Inode(tid, fd)
	return ok && slices.Contains(p.members, inode) || a.Multicast()
}

// nonBlockingUnits returns the value of [contract.Report].NonBlocking, which is true if no socket listens.
func nonBlockingUnits(binds []contract.ProbeBind) bool {
	listening := func(b contract.ProbeBind) bool { return b.Listening }
	nonBlocking := func(b contract.ProbeBind) bool { return b.Listening && b.NonBlocking }
	return !slices.ContainsFunc(binds, listening) || slices.ContainsFunc(binds, nonBlocking)
}

// holdAccept returns the value of [contract.Report].HoldAccept.
func holdAccept(binds []contract.ProbeBind) bool {
	return slices.ContainsFunc(binds, func(b contract.ProbeBind) bool { return b.Listening && !b.Epoll })
}

// The function words returns the family and the type of a socket, as the report contains them.
func words(k target.Kind) (family, typ string) {
	w := map[target.Kind][2]string{target.TCP4: {"inet", "stream"}, target.TCP6: {"inet6", "stream"}, target.UDP4: {"inet", "dgram"},
		target.UDP6: {"inet6", "dgram"}, target.UnixStream: {"unix", "stream"}, target.UnixOther: {"unix", "dgram"}}[k]
	return w[0], w[1]
}

// octal returns the mode of a file in octal digits, as in "0755".
func octal(mode uint32) string { return "0" + strconv.FormatUint(uint64(mode), 8) }
