package seccomp

import "golang.org/x/sys/unix"

// What a filter lets the notifier see.
type Calls struct {
	// Accept adds accept(2) and accept4(2) to bind(2) and listen(2). It costs
	// each new connection two switches to the notifier and back.
	Accept bool
	// MinAddrLen is the shortest sockaddr that is shown; shorter binds go
	// straight to the kernel. 16 spares the netlink binds of getaddrinfo(3)
	// (12 bytes) and still shows every IPv4 and IPv6 bind.
	MinAddrLen uint32
	// AnyShutdown adds shutdown(SHUT_WR), which harms a shared datagram socket and no listener: most programs call it for
	// each connection.
	AnyShutdown bool
}

// Offsets in struct seccomp_data, seccomp(2). Arguments are 64 bits wide; their
// low half comes first on the little-endian machines that we know.
const (
	offNr      = 0
	offArch    = 4
	offArg1Low = 16 + 1*8
	offArg2Low = 16 + 2*8
)

// check shows a call by the value of one argument.
type check struct {
	nr, offset uint32
	jump       uint16 // BPF_JEQ or BPF_JGE
	k          uint32
	shown      bool // where the argument is equal to k, or at least k
}

// checks returns the calls that are shown by an argument.
func (c Calls) checks(m Machine) []check {
	list := []check{{m.Bind, offArg2Low, unix.BPF_JGE, c.MinAddrLen, true}}
	if !c.AnyShutdown {
		list = append(list, check{m.Shutdown, offArg1Low, unix.BPF_JEQ, unix.SHUT_WR, false})
	}
	return list
}

// always returns the numbers of the calls that are shown whatever their arguments are.
func (c Calls) always(m Machine) []uint32 {
	nrs := []uint32{m.Listen}
	if c.Accept {
		nrs = append(nrs, m.Accept, m.Accept4)
	}
	if c.AnyShutdown {
		nrs = append(nrs, m.Shutdown)
	}
	return nrs
}

// Program assembles the filter for the machine m. System calls of another
// architecture (i386 on amd64, arm on arm64) and of the x32 ABI are let through:
// their numbers mean something else, and nothing is gained by guessing.
func Program(m Machine, c Calls) []unix.SockFilter {
	nrs, checks := c.always(m), c.checks(m)
	var p []unix.SockFilter
	head := 3 // load arch, test arch, load nr
	if m.X32Bit != 0 {
		head++
	}
	firstCheck := head + len(checks) + len(nrs) + 1 // after the jump to allow
	notify := firstCheck + 2*len(checks)
	allow := notify + 1
	to := func(target int) uint8 { return uint8(target - len(p) - 1) }

	p = append(p, load(offArch))
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: to(allow), K: m.Arch})
	p = append(p, load(offNr))
	if m.X32Bit != 0 {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jt: to(allow), Jf: 0, K: m.X32Bit})
	}
	for i, c := range checks {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: to(firstCheck + 2*i), Jf: 0, K: c.nr})
	}
	for _, nr := range nrs {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: to(notify), Jf: 0, K: nr})
	}
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(to(allow))})
	for _, c := range checks {
		p = append(p, load(c.offset))
		yes, no := to(notify), to(allow)
		if !c.shown {
			yes, no = no, yes
		}
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | c.jump | unix.BPF_K, Jt: yes, Jf: no, K: c.k})
	}
	p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	return p
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}
