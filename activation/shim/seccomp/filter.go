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
	// Paths are the Unix sockets of the listeners; an empty list shows none of the calls below. With one, every call that
	// removes, renames or changes the owner or mode of a path is shown, and connect(2) with an address that is not as long as
	// one of IPv4 or IPv6, or that is as long as one of the paths.
	Paths []string
}

// Offsets in struct seccomp_data, seccomp(2). Arguments are 64 bits wide; their
// low half comes first on the little-endian machines that we know.
const (
	offNr      = 0
	offArch    = 4
	offArg1Low = 16 + 1*8
	offArg2Low = 16 + 2*8
)

// Program assembles the filter for the machine m. System calls of another
// architecture (i386 on amd64, arm on arm64) and of the x32 ABI are let through:
// their numbers mean something else, and nothing is gained by guessing.
func Program(m Machine, c Calls) []unix.SockFilter {
	nrs := []uint32{m.Listen}
	if c.Accept {
		nrs = append(nrs, m.Accept, m.Accept4)
	}
	connects := c.connects(m)
	nrs = append(nrs, c.paths(m)...)
	var p []unix.SockFilter
	// The jump distances below count from the end: allow is the last
	// instruction, notify the one before it, and the three for bind precede.
	tests := 1 + len(nrs) + len(connects) // bind and the others
	head := 3                             // load arch, test arch, load nr
	if m.X32Bit != 0 {
		head++
	}
	bindCheck := head + tests + 1 // after the jump to allow
	connectCheck := bindCheck + 2
	notify := connectCheck + c.connectLen()
	allow := notify + 1
	to := func(target int) uint8 { return uint8(target - len(p) - 1) }

	p = append(p, load(offArch))
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: to(allow), K: m.Arch})
	p = append(p, load(offNr))
	if m.X32Bit != 0 {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jt: to(allow), Jf: 0, K: m.X32Bit})
	}
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: to(bindCheck), Jf: 0, K: m.Bind})
	for _, nr := range nrs {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: to(notify), Jf: 0, K: nr})
	}
	for _, nr := range connects {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: to(connectCheck), Jf: 0, K: nr})
	}
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(to(allow))})
	p = append(p, load(offArg2Low))
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jt: to(notify), Jf: to(allow), K: c.MinAddrLen})
	p = c.connectCheck(p, allow)
	p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	return p
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}
