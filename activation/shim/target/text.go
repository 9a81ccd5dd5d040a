package target

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// AppendTo appends the address as text: 127.0.0.1:80, [::1]:80, /run/x.sock or @abstract. It allocates only if dst is too
// small.
func (a *Addr) AppendTo(dst []byte) []byte {
	switch a.Family {
	case unix.AF_INET:
		dst = append4(dst, a.IP[:4])
	case unix.AF_INET6:
		dst = append(dst, '[')
		dst = append6(dst, &a.IP)
		dst = append(dst, ']')
	case unix.AF_UNIX:
		return appendPath(dst, a.Path())
	default:
		return append(dst, '?')
	}
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(a.Port), 10)
}

// String returns the text of AppendTo.
func (a *Addr) String() string { return string(a.AppendTo(nil)) }

// Host returns the IP address without port and brackets, or the path of AF_UNIX.
func (a *Addr) Host() string {
	switch a.Family {
	case unix.AF_INET:
		return string(append4(nil, a.IP[:4]))
	case unix.AF_INET6:
		return string(append6(nil, &a.IP))
	}
	return string(appendPath(nil, a.Path()))
}

func appendPath(dst, p []byte) []byte {
	for i, c := range p {
		switch {
		case c == 0 && i == 0:
			dst = append(dst, '@')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '?') // the text goes to the log, on one line
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func append4(dst []byte, ip []byte) []byte {
	for i, b := range ip {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(b), 10)
	}
	return dst
}

// append6 appends the form of RFC 5952. It does not use net/netip, which starts a goroutine at init for its zones, since the
// shim starts with every worker.
func append6(dst []byte, ip *[16]byte) []byte {
	if mapped(ip) {
		return append4(append(dst, "::ffff:"...), ip[12:])
	}
	start, end := longestZeros(ip)
	for i := 0; i < 8; i++ {
		if i == start {
			dst = append(dst, ':', ':')
			i = end - 1
			continue
		}
		if i > 0 && i != end {
			dst = append(dst, ':')
		}
		dst = strconv.AppendUint(dst, uint64(ip[2*i])<<8|uint64(ip[2*i+1]), 16)
	}
	return dst
}

func mapped(ip *[16]byte) bool {
	return [12]byte(ip[:12]) == [12]byte{10: 0xff, 11: 0xff}
}

// longestZeros returns the first longest run of at least two zero groups, or (-1, -1) if there is none.
func longestZeros(ip *[16]byte) (start, end int) {
	start, end = -1, -1
	for i := 0; i < 8; i++ {
		j := i
		for j < 8 && ip[2*j] == 0 && ip[2*j+1] == 0 {
			j++
		}
		if j-i >= 2 && j-i > end-start {
			start, end = i, j
		}
		if j > i {
			i = j
		}
	}
	return start, end
}
