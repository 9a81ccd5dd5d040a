package target

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// MaxSockaddr is the size of struct sockaddr_storage, the maximum size of an address.
const MaxSockaddr = 128

// Addr is a decoded socket address. The zero Addr has family AF_UNSPEC.
type Addr struct {
	Family uint16 // AF_INET, AF_INET6 or AF_UNIX
	Port   uint16
	IP     [16]byte // the first 4 bytes for AF_INET
	Zone   uint32   // scope id of AF_INET6
	path   [108]byte
	pathN  uint8
}

// Path returns the path or abstract name of an AF_UNIX address. An abstract name begins with a zero byte. The result is
// empty for other families, and for an address without a name (autobind in unix(7)). The result points into the memory of a.
func (a *Addr) Path() []byte { return a.path[:a.pathN] }

// SetPath sets the path or abstract name of an AF_UNIX address. SetPath cuts p to the size of sun_path.
func (a *Addr) SetPath(p string) { a.pathN = uint8(copy(a.path[:], p)) }

// Wildcard reports whether the address is 0.0.0.0 or ::.
func (a *Addr) Wildcard() bool { return a.IP == [16]byte{} }

// Multicast reports whether the address is a multicast group.
func (a *Addr) Multicast() bool {
	return a.Family == unix.AF_INET && a.IP[0]&0xf0 == 0xe0 || a.Family == unix.AF_INET6 && a.IP[0] == 0xff
}

// SameHost reports whether a and b have the same IP address.
func (a *Addr) SameHost(b *Addr) bool { return a.Family == b.Family && a.IP == b.IP }

// DecodeSockaddr decodes a struct sockaddr in the same way as bind(2) in the kernel. b must contain exactly the addrlen
// bytes of the call. ok is false for families other than AF_INET, AF_INET6 and AF_UNIX, and for addresses that are too
// short.
func DecodeSockaddr(b []byte, a *Addr) (ok bool) {
	*a = Addr{}
	if len(b) < 2 || len(b) > MaxSockaddr {
		return false
	}
	family := binary.NativeEndian.Uint16(b)
	switch family {
	case unix.AF_INET:
		return a.inet4(b)
	case unix.AF_UNSPEC:
		// For bind, AF_UNSPEC with INADDR_ANY means AF_INET (ip(7)).
		return a.inet4(b) && a.Wildcard()
	case unix.AF_INET6:
		if len(b) < unix.SizeofSockaddrInet6-4 { // sin6_scope_id may be missing, ipv6(7)
			return false
		}
		a.Family = unix.AF_INET6
		a.Port = binary.BigEndian.Uint16(b[2:])
		copy(a.IP[:], b[8:24])
		if len(b) >= unix.SizeofSockaddrInet6 {
			a.Zone = binary.NativeEndian.Uint32(b[24:])
		}
		return true
	case unix.AF_UNIX:
		return a.unix(b[2:])
	}
	return false
}

func (a *Addr) inet4(b []byte) bool {
	if len(b) < unix.SizeofSockaddrInet4 {
		return false
	}
	a.Family = unix.AF_INET
	a.Port = binary.BigEndian.Uint16(b[2:])
	copy(a.IP[:4], b[4:8])
	return true
}

// unix sets the name from sun_path (unix(7)). A path ends at the first zero byte. An abstract name ends at the end of the
// address.
func (a *Addr) unix(b []byte) bool {
	if len(b) > len(a.path) {
		return false
	}
	a.Family = unix.AF_UNIX
	if len(b) > 0 && b[0] != 0 {
		b, _, _ = bytes.Cut(b, []byte{0})
	}
	a.pathN = uint8(copy(a.path[:], b))
	return true
}
