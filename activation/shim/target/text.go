package target

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// AppendTo appends the address as text: 127.0.0.1:80, [::1]:80, /run/x.sock or @abstract. AppendTo only allocates if the
// capacity of dst is too small.
func (a *Addr) AppendTo(dst []byte) []byte {
	switch a.Family {
	case unix.AF_INET, unix.AF_INET6:
		return netip.AddrPortFrom(a.ip(), a.Port).AppendTo(dst)
	case unix.AF_UNIX:
		return appendPath(dst, a.Path())
	}
	return append(dst, '?')
}

func (a *Addr) ip() netip.Addr {
	if a.Family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(a.IP[:4]))
	}
	return netip.AddrFrom16(a.IP)
}

// String returns the text of AppendTo.
func (a *Addr) String() string { return string(a.AppendTo(nil)) }

// Host returns the IP address without port and brackets, or the path of AF_UNIX.
func (a *Addr) Host() string {
	if a.Family == unix.AF_INET || a.Family == unix.AF_INET6 {
		return a.ip().String()
	}
	return string(appendPath(nil, a.Path()))
}

func appendPath(dst, p []byte) []byte {
	for i, c := range p {
		switch {
		case c == 0 && i == 0:
			dst = append(dst, '@')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '?') // a control character would break the line in the log
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
