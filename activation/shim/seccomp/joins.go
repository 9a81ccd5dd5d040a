package seccomp

import "golang.org/x/sys/unix"

// Joins returns a filter that shows the calls of setsockopt(2) that add a socket to a multicast group. The filter of
// [Program], which handles all other system calls, must follow it. Other options are not shown, since many servers set some
// for each connection.
func Joins(m Machine) []unix.SockFilter {
	// The options are in ip(7), ipv6(7) and RFC 3678.
	four := []uint32{unix.IP_ADD_MEMBERSHIP, unix.IP_ADD_SOURCE_MEMBERSHIP, unix.MCAST_JOIN_GROUP, unix.MCAST_JOIN_SOURCE_GROUP}
	six := []uint32{unix.IPV6_JOIN_GROUP, unix.MCAST_JOIN_GROUP, unix.MCAST_JOIN_SOURCE_GROUP}
	const head = 7
	fourAt := head
	allow := fourAt + 1 + len(four)
	sixAt := allow + 1
	notify := sixAt + 1 + len(six) + 1
	end := notify + 1

	var p []unix.SockFilter
	equal := func(k uint32, yes, no int) {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(yes - len(p) - 1),
			Jf: uint8(no - len(p) - 1), K: k})
	}
	ret := func(k uint32) { p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}) }
	p = append(p, load(offArch))
	equal(m.Arch, len(p)+1, end)
	p = append(p, load(offNr))
	equal(m.Setsockopt, len(p)+1, end)
	p = append(p, load(offArg1Low))
	equal(unix.IPPROTO_IP, fourAt, len(p)+1)
	equal(unix.IPPROTO_IPV6, sixAt, allow)
	for _, numbers := range [][]uint32{four, six} {
		p = append(p, load(offArg2Low))
		for _, n := range numbers {
			equal(n, notify, len(p)+1)
		}
		ret(unix.SECCOMP_RET_ALLOW)
	}
	ret(unix.SECCOMP_RET_USER_NOTIF)
	return p
}
