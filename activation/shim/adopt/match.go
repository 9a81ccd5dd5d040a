package adopt

import (
	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// match finds the listener that answers the bind of a socket of kind k to a.
// The address of the program need not be that of the unit: the unit decides where
// the app is to be reached. Only where several listeners fit by kind and port
// does the address choose between them, and then the first that nobody has yet.
//
// near is a listener with the right port and the wrong family, which is nearly
// always a mistake worth telling. Both are -1 when there is none.
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

// names reports whether the port or path of a is the one that l answers.
func (l *Listener) names(a *target.Addr) bool {
	if a.Family == unix.AF_UNIX {
		return l.Want.Path != "" && samePath(a.Path(), l.Want.Path)
	}
	return a.Port != 0 && a.Port == l.Want.Port
}

// accepts applies the family. An IPv4 or unix listener may stand in for an IPv6
// socket where the map says tcp or udp: programs that bind :: take addresses as
// they come. The other way round is refused unless the map names the family:
// nginx and Bun bind AF_INET and answer nothing on an AF_INET6 listener.
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

// answers returns whether a bind of this kind may come from a socket of kind k.
func answers(bind contract.Kind, k target.Kind) bool {
	switch k {
	case target.TCP4, target.TCP6:
		return bind == contract.TCP || bind == kindOf(k)
	case target.UDP4, target.UDP6:
		return bind == contract.UDP || bind == kindOf(k)
	}
	return bind == kindOf(k)
}

// better reports whether l suits the address a better than m does.
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

// samePath compares the name in a sockaddr with a path whose leading '@' stands
// for the zero byte of an abstract name.
func samePath(got []byte, want string) bool {
	if len(got) != len(want) || len(got) == 0 {
		return false
	}
	if want[0] == '@' {
		return got[0] == 0 && string(got[1:]) == want[1:]
	}
	return string(got) == want
}
