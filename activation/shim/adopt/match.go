package adopt

import (
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// match returns the index of the listener that answers the bind of a socket of kind k to a. The address of the bind may
// differ from the address of the unit, which decides where clients reach the app. If several listeners have the kind and the
// port, match prefers the same address, and then the first that the program has not bound yet.
//
// near is the index of a listener with the right port and the wrong family, which is nearly always a mistake that the
// notifier logs. Each is -1 if no listener fits.
func match(ls []Listener, k target.Kind, a *target.Addr) (at, near int) {
	at, near = -1, -1
	for i := range ls {
		l := &ls[i]
		if !l.names(a) {
			continue
		}
		if !l.accepts(k) {
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

// names reports whether l answers the port or path of a.
func (l *Listener) names(a *target.Addr) bool {
	if a.Family == unix.AF_UNIX {
		return l.Want.Path != "" && samePath(a.Path(), l.Want.Path)
	}
	return a.Port != 0 && a.Port == l.Want.Port
}

// accepts reports whether a socket of kind k can get l. If the map has tcp or udp, an IPv6 socket may get a listener of IPv4
// or Unix, since programs that bind :: accept any address of a client. An IPv4 socket does not get an IPv6 listener, unless
// the map names the family: nginx and Bun, which bind AF_INET, do not answer on a listener of AF_INET6.
func (l *Listener) accepts(k target.Kind) bool {
	if !answers(l.Want.Kind, k) {
		return false
	}
	both := l.Want.Kind == contract.TCP || l.Want.Kind == contract.UDP
	if both && l.Addr.Family == unix.AF_INET6 {
		return k == target.TCP6 || k == target.UDP6
	}
	return true
}

// answers reports whether a bind of this kind may come from a socket of kind k.
func answers(bind contract.Kind, k target.Kind) bool {
	switch k {
	case target.TCP4, target.TCP6:
		return bind == contract.TCP || bind == kindOf(k)
	case target.UDP4, target.UDP6:
		return bind == contract.UDP || bind == kindOf(k)
	}
	return bind == kindOf(k)
}

// better reports whether l fits the address a better than m does.
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

// samePath reports whether the name in a sockaddr is the path want. A leading '@' of want means the zero byte of an abstract
// name.
func samePath(got []byte, want string) bool {
	if len(got) != len(want) || len(got) == 0 {
		return false
	}
	if want[0] == '@' {
		return got[0] == 0 && string(got[1:]) == want[1:]
	}
	return string(got) == want
}
