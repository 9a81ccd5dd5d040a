// Package seccomp installs a seccomp(2) filter on a program. At a call of bind(2), listen(2), shutdown(2) and optionally
// accept(2), the filter suspends the calling thread and sends a notification to another process, the notifier, which decides
// how the call continues (seccomp_unotify(2)). In this package, a filter "shows" a call if it sends a notification for the
// call. The notifier is in package adopt, and uses the methods of FD.
//
// # Invariants
//
//   - The filter only shows system calls of the architecture of the machine.
//   - A method of FD makes one system call, does not allocate and never enters the Go scheduler.
package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Calls selects the system calls that a filter shows to the notifier.
type Calls struct {
	// Accept adds accept(2) and accept4(2). Each new connection then takes longer, because the kernel switches to the
	// notifier and back.
	Accept bool
	// MinAddrLen is the minimum length of the address in a bind(2) that is shown. With 16, the filter shows every bind of
	// IPv4 and IPv6, but not the netlink binds of getaddrinfo(3) (12 bytes).
	MinAddrLen uint32
	// Paths holds the paths of the Unix listeners. With at least one path, the filter shows every call that removes or
	// renames a file or changes its owner or mode. The filter also shows connect(2); see connectTests.
	Paths []string
	// AnyShutdown adds shutdown(SHUT_WR), which harms a shared datagram socket but not a listener. For listeners,
	// AnyShutdown should be false, because most programs call shutdown(SHUT_WR) for each connection.
	AnyShutdown bool
}

// Offsets in struct seccomp_data, seccomp(2). Arguments have 64 bits, with the low half first, because the supported
// machines are little-endian.
const (
	offNr      = 0
	offArch    = 4
	offArg1Low = 16 + 1*8
	offArg2Low = 16 + 2*8
)

// A check decides by the value of one argument whether a call is shown. The first test that is true decides.
type check struct {
	nr, offset uint32 // number of the system call, and offset of the argument
	tests      []test
}

// A test is true if the argument is equal to k (BPF_JEQ), or at least k (BPF_JGE).
type test struct {
	jump  uint16 // BPF_JEQ or BPF_JGE
	k     uint32
	shown bool
}

// lastTest returns a test that is always true. It is the last test of a check, and decides about calls that no earlier test
// matches.
func lastTest(shown bool) test { return test{unix.BPF_JGE, 0, shown} }

// checks returns the checks of calls that are shown depending on an argument.
func (c Calls) checks(m Machine) []check {
	list := []check{{m.Bind, offArg2Low, []test{{unix.BPF_JGE, c.MinAddrLen, true}, lastTest(false)}}}
	if !c.AnyShutdown {
		list = append(list, check{m.Shutdown, offArg1Low, []test{{unix.BPF_JEQ, unix.SHUT_WR, false}, lastTest(true)}})
	}
	if len(c.Paths) > 0 {
		list = append(list, check{m.Connect, offArg2Low, c.connectTests()})
	}
	return list
}

// alwaysShown returns the numbers of the calls that are shown for all arguments.
func (c Calls) alwaysShown(m Machine) []uint32 {
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

// Program returns the filter for machine m. The filter does not show system calls of another architecture (i386 on amd64,
// arm on arm64) or of the x32 ABI, because their numbers differ.
func Program(m Machine, c Calls) []unix.SockFilter {
	p := []unix.SockFilter{load(offArch), jump(unix.BPF_JEQ, m.Arch, 0, toAllow), load(offNr)}
	if m.X32Bit != 0 {
		p = append(p, jump(unix.BPF_JGE, m.X32Bit, toAllow, 0))
	}
	for _, check := range c.checks(m) {
		p = append(p, jump(unix.BPF_JEQ, check.nr, 0, uint8(len(check.tests)+1)), load(check.offset))
		for _, t := range check.tests {
			target := toAllow
			if t.shown {
				target = toNotify
			}
			p = append(p, jump(t.jump, t.k, target, 0))
		}
	}
	for _, nr := range c.alwaysShown(m) {
		p = append(p, jump(unix.BPF_JEQ, nr, toNotify, 0))
	}
	return finish(p)
}

// Joins returns a filter that shows the calls of setsockopt(2) that add a socket to a multicast group. The caller must
// append the filter of [Program], which decides about all other system calls. The filter does not show other socket options,
// because many servers set some of them on each connection.
func Joins(m Machine) []unix.SockFilter {
	// The options are in ip(7), ipv6(7) and RFC 3678.
	four := []uint32{unix.IP_ADD_MEMBERSHIP, unix.IP_ADD_SOURCE_MEMBERSHIP, unix.MCAST_JOIN_GROUP, unix.MCAST_JOIN_SOURCE_GROUP}
	six := []uint32{unix.IPV6_JOIN_GROUP, unix.MCAST_JOIN_GROUP, unix.MCAST_JOIN_SOURCE_GROUP}
	p := []unix.SockFilter{
		load(offArch), jump(unix.BPF_JEQ, m.Arch, 0, toNext),
		load(offNr), jump(unix.BPF_JEQ, m.Setsockopt, 0, toNext),
		load(offArg1Low), jump(unix.BPF_JEQ, unix.IPPROTO_IP, uint8(len(six)+3), 0), jump(unix.BPF_JEQ, unix.IPPROTO_IPV6, 0, toAllow),
	}
	for _, numbers := range [][]uint32{six, four} {
		p = append(p, load(offArg2Low))
		for _, n := range numbers {
			p = append(p, jump(unix.BPF_JEQ, n, toNotify, 0))
		}
		p = append(p, jump(unix.BPF_JGE, 0, toAllow, 0))
	}
	return finish(p)
}

// connectTests returns the tests for the length of the address in connect(2). The filter does not show a connect(2) with the
// length of IPv4 or IPv6, so that connections to other machines are not slowed down. If one of the paths has an address of
// this length, the filter must show the call.
func (c Calls) connectTests() (tests []test) {
	for _, n := range [...]uint32{unix.SizeofSockaddrInet4, unix.SizeofSockaddrInet6} {
		isPath := func(p string) bool {
			length := uint32(len(p)) + 2 // with sun_family; some programs also count the NUL
			return length == n || length+1 == n
		}
		if !slices.ContainsFunc(c.Paths, isPath) {
			tests = append(tests, test{unix.BPF_JEQ, n, false})
		}
	}
	return append(tests, test{unix.BPF_JGE, 3, true}, lastTest(false)) // an address of 2 bytes has no path
}

// Targets of jumps. The numbers are larger than every distance in a filter, and finish replaces each target by a distance.
const (
	toNext   = uint8(iota + 253) // the first instruction of the filter that follows
	toNotify                     // the last instruction, which shows the call
	toAllow                      // the second last instruction, which allows the call
)

// The function finish appends the two instructions that return a result, and sets the distances of the jumps to targets.
func finish(p []unix.SockFilter) []unix.SockFilter {
	for _, result := range []uint32{unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_USER_NOTIF} {
		p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: result})
	}
	for i := range p {
		for _, distance := range []*uint8{&p[i].Jt, &p[i].Jf} {
			if *distance >= toNext {
				*distance = uint8(len(p)-i-1) - (*distance - toNext)
			}
		}
	}
	return p
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// jump returns an instruction that compares the loaded value with k. ifTrue is the number of instructions to skip if the
// comparison is true, and ifFalse if the comparison is false.
func jump(kind uint16, k uint32, ifTrue, ifFalse uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | kind | unix.BPF_K, Jt: ifTrue, Jf: ifFalse, K: k}
}
