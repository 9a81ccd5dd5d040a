package seccomp

import "golang.org/x/sys/unix"

// Calls selects the system calls that a filter shows to the notifier.
type Calls struct {
	// Accept adds accept(2) and accept4(2) to bind(2) and listen(2). It costs each new connection two switches to the
	// notifier and back.
	Accept bool
	// MinAddrLen is the length of the shortest address for which bind(2) is shown. With 16, the filter does not show the
	// netlink binds of getaddrinfo(3) (12 bytes), but every bind of IPv4 and IPv6.
	MinAddrLen uint32
	// Paths are the paths of the Unix listeners. Unless the list is empty, the filter shows every call that removes or
	// renames a path or changes its owner or mode. It also shows connect(2), except for addresses with the length of IPv4 or
	// IPv6, unless one of the paths has this length.
	Paths []string
	// AnyShutdown adds shutdown(SHUT_WR), which harms a shared datagram socket but not a listener. Most programs call it for
	// each connection.
	AnyShutdown bool
}

// Offsets in struct seccomp_data, seccomp(2). Arguments have 64 bits, with the low half first, since the supported machines
// are little-endian.
const (
	offNr      = 0
	offArch    = 4
	offArg1Low = 16 + 1*8
	offArg2Low = 16 + 2*8
)

// check decides by the value of one argument whether a call is shown: the first test that is true decides, otherwise rest.
type check struct {
	nr, offset uint32
	tests      []test
	rest       bool
}

// test is true if the argument is equal to k, or at least k.
type test struct {
	jump  uint16 // BPF_JEQ or BPF_JGE
	k     uint32
	shown bool
}

// checks returns the checks of calls that are shown depending on an argument.
func (c Calls) checks(m Machine) []check {
	list := []check{{m.Bind, offArg2Low, []test{{unix.BPF_JGE, c.MinAddrLen, true}}, false}}
	if !c.AnyShutdown {
		list = append(list, check{m.Shutdown, offArg1Low, []test{{unix.BPF_JEQ, unix.SHUT_WR, false}}, true})
	}
	if len(c.Paths) > 0 {
		list = append(list, check{m.Connect, offArg2Low, c.connectTests(), false})
	}
	return list
}

// always returns the numbers of the calls that are shown with any arguments.
func (c Calls) always(m Machine) []uint32 {
	nrs := []uint32{m.Listen}
	if c.Accept {
		nrs = append(nrs, m.Accept, m.Accept4)
	}
	if c.AnyShutdown {
		nrs = append(nrs, m.Shutdown)
	}
	if len(c.Paths) > 0 {
		nrs = append(nrs, m.Path.numbers()...)
	}
	return nrs
}

// Program returns the filter for machine m. It does not show system calls of another architecture (i386 on amd64, arm on
// arm64) or of the x32 ABI, which have other numbers.
func Program(m Machine, c Calls) []unix.SockFilter {
	nrs, checks := c.always(m), c.checks(m)
	head := 3 // load arch, test arch, load nr
	if m.X32Bit != 0 {
		head++
	}
	at := make([]int, len(checks)) // where each check begins
	notify := head + len(checks) + len(nrs) + 1
	for i, c := range checks {
		at[i] = notify
		notify += 1 + len(c.tests) + 1
	}
	allow := notify + 1
	var p []unix.SockFilter
	to := func(target int) uint8 { return uint8(target - len(p) - 1) }
	verdict := func(shown bool) int {
		if shown {
			return notify
		}
		return allow
	}
	jump := func(kind uint16, k uint32, yes, no uint8) {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | kind | unix.BPF_K, Jt: yes, Jf: no, K: k})
	}

	p = append(p, load(offArch))
	jump(unix.BPF_JEQ, m.Arch, 0, to(allow))
	p = append(p, load(offNr))
	if m.X32Bit != 0 {
		jump(unix.BPF_JGE, m.X32Bit, to(allow), 0)
	}
	for i, c := range checks {
		jump(unix.BPF_JEQ, c.nr, to(at[i]), 0)
	}
	for _, nr := range nrs {
		jump(unix.BPF_JEQ, nr, to(notify), 0)
	}
	jump(unix.BPF_JA, uint32(to(allow)), 0, 0)
	for _, c := range checks {
		p = append(p, load(c.offset))
		for _, t := range c.tests {
			jump(t.jump, t.k, to(verdict(t.shown)), 0)
		}
		jump(unix.BPF_JA, uint32(to(verdict(c.rest))), 0, 0)
	}
	p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	return p
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}
