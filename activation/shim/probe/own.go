package probe

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/sockopt"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// look stores the options of the program's socket, which a decoy is about to replace, in b. In containers that refuse
// pidfd_getfd(2) the options are not known.
func (p *prober) look(tid, fd uint32, k target.Kind, b *contract.ProbeBind) {
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

// joins records that a socket joins a multicast group. The socket is a decoy, or is not bound yet.
func (p *prober) joins(tid, fd uint32) {
	if s := p.find(tid, fd); s != nil {
		s.Multicast = true
		return
	}
	if inode, ok := p.r.Inode(tid, fd); ok && len(p.members) < maxMembers {
		p.members = append(p.members, inode)
	}
}

// maxMembers limits how many sockets of a program the prober remembers.
const maxMembers = 1000

// joined reports whether the socket has joined a multicast group, or a is the address of one.
func (p *prober) joined(tid, fd uint32, a *target.Addr) bool {
	inode, ok := p.r.Inode(tid, fd)
	return ok && slices.Contains(p.members, inode) || a.Multicast()
}
