package adopt

import (
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// The program binds a socket of kind k to the address a, and match returns the index of the listener that replaces this
// socket. The listener may have another IP address. If several listeners have the kind and the port, match prefers a
// listener with the same IP address, and then the first listener that the program has not bound yet.
//
// The result near is the index of a listener with the right port and the wrong family. The notifier logs such a bind,
// because it is nearly always a mistake. An index is -1 if there is no such listener.
func match(ls []Listener, k target.Kind, a *target.Addr) (at, near int) {
	at, near = -1, -1
	for i := range ls {
		l := &ls[i]
		if !l.names(a) {
			continue
		}
		if !l.hasKind(k) {
			if near < 0 && sameType(l.Kind, k) {
				near = i
			}
			continue
		}
		if at < 0 || better(l, &ls[at], a) {
			at = i
		}
	}
	return at, near
}

// The method names reports whether the address a has the port or path of l.Want.
func (l *Listener) names(a *target.Addr) bool {
	if a.Family == unix.AF_UNIX {
		return l.Want.Path != "" && samePath(a.Path(), l.Want.Path)
	}
	return a.Port != 0 && a.Port == l.Want.Port
}

// hasKind reports whether l can replace a socket of kind k. If Want.Kind is TCP or UDP, an IPv4 or Unix
// listener can replace an IPv6 socket, because a program that binds :: expects clients of any address family. An IPv6
// listener can replace an IPv4 socket only if Want.Kind is TCP4 or UDP4: nginx and Bun bind an IPv4 socket, and do not
// respond on an IPv6 listener.
func (l *Listener) hasKind(k target.Kind) bool {
	both := l.Want.Kind == contract.TCP || l.Want.Kind == contract.UDP
	return sameKind(l.Want.Kind, k) && (!both || l.Addr.Family != unix.AF_INET6 || k == target.TCP6 || k == target.UDP6)
}

// sameKind reports whether a bind of a socket of kind k has the kind in the parameter bind.
func sameKind(bind contract.Kind, k target.Kind) bool {
	return bind == kindOf(k) || bind == contract.TCP && (k == target.TCP4 || k == target.TCP6) ||
		bind == contract.UDP && (k == target.UDP4 || k == target.UDP6)
}

// The function better reports whether l fits the address in a better than m does.
func better(l, m *Listener, a *target.Addr) bool {
	if x, y := l.Addr.SameHost(a), m.Addr.SameHost(a); x != y {
		return x
	}
	return m.ready && !l.ready
}

func sameType(a, b target.Kind) bool {
	stream := func(k target.Kind) bool { return k == target.TCP4 || k == target.TCP6 || k == target.UnixStream }
	return stream(a) == stream(b)
}

// samePath reports whether the name in a sockaddr (got) equals the path of a listener (want). A leading '@' of want is
// the zero byte of an abstract name.
func samePath(got []byte, want string) bool {
	if len(got) != len(want) || len(got) == 0 {
		return false
	}
	if want[0] == '@' {
		return got[0] == 0 && string(got[1:]) == want[1:]
	}
	return string(got) == want
}
