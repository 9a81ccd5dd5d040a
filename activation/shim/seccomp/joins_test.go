package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestJoins: the filter shows only the options that join a multicast group, and Program decides about all other calls.
func TestJoins(t *testing.T) {
	const shown, allowed = unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ALLOW
	for name, m := range map[string]Machine{"amd64": AMD64(), "arm64": ARM64()} {
		p := append(Joins(m), Program(m, Calls{MinAddrLen: 16})...)
		option := func(level, number uint64) data {
			return data{nr: m.Setsockopt, arch: m.Arch, args: [6]uint64{3, level, number}}
		}
		for i, c := range []struct {
			d    data
			want uint32
		}{
			{option(unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP), shown},
			{option(unix.IPPROTO_IP, unix.IP_ADD_SOURCE_MEMBERSHIP), shown},
			{option(unix.IPPROTO_IP, unix.MCAST_JOIN_GROUP), shown},
			{option(unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP), shown},
			{option(unix.IPPROTO_IPV6, unix.MCAST_JOIN_SOURCE_GROUP), shown},
			{option(unix.IPPROTO_IPV6, unix.IP_ADD_MEMBERSHIP), allowed},
			{option(unix.IPPROTO_IP, unix.IP_TOS), allowed},
			{option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY), allowed},
			{option(unix.IPPROTO_TCP, unix.TCP_NODELAY), allowed},
			{option(unix.SOL_SOCKET, unix.IP_ADD_MEMBERSHIP), allowed},
			{data{nr: m.Setsockopt, arch: unix.AUDIT_ARCH_I386, args: option(unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP).args}, allowed},
			{data{nr: m.Listen, arch: m.Arch}, shown},
			{data{nr: m.Bind, arch: m.Arch, args: [6]uint64{3, 1 << 40, 16}}, shown},
			{data{nr: m.Accept, arch: m.Arch}, allowed},
		} {
			if got := run(t, p, c.d); got != c.want {
				t.Errorf("%s, case %d: the filter returned %#x, want %#x", name, i, got, c.want)
			}
		}
	}
}
