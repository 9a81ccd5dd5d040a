package seccomp

import "golang.org/x/sys/unix"

// PathCalls are the system calls that name a file by its path, and change what is there. A number of 0 is one that the
// machine does not have.
type PathCalls struct {
	Unlink, Unlinkat, Rename, Renameat, Renameat2       uint32
	Chmod, Fchmodat, Fchmodat2, Chown, Lchown, Fchownat uint32
}

// pathsAMD64 and pathsARM64 are written out for the reason that [AMD64] has.
func pathsAMD64() PathCalls {
	return PathCalls{Unlink: 87, Unlinkat: 263, Rename: 82, Renameat: 264, Renameat2: 316,
		Chmod: 90, Fchmodat: 268, Fchmodat2: 452, Chown: 92, Lchown: 94, Fchownat: 260}
}

func pathsARM64() PathCalls {
	return PathCalls{Unlinkat: 35, Renameat: 38, Renameat2: 276, Fchmodat: 53, Fchmodat2: 452, Fchownat: 54}
}

func (p PathCalls) numbers() (nrs []uint32) {
	for _, nr := range [...]uint32{p.Unlink, p.Unlinkat, p.Rename, p.Renameat, p.Renameat2,
		p.Chmod, p.Fchmodat, p.Fchmodat2, p.Chown, p.Lchown, p.Fchownat} {
		if nr != 0 {
			nrs = append(nrs, nr)
		}
	}
	return nrs
}

// paths are the numbers that Calls.Paths shows besides connect(2).
func (c Calls) paths(m Machine) []uint32 {
	if len(c.Paths) == 0 {
		return nil
	}
	return m.Path.numbers()
}

func (c Calls) connects(m Machine) []uint32 {
	if len(c.Paths) == 0 {
		return nil
	}
	return []uint32{m.Connect}
}

// unshown returns the lengths of addresses for which connect(2) is not shown: those of IPv4 and IPv6, so that connections
// to other machines cost nothing. If the address of a path has such a length, connect(2) is shown for that length.
func (c Calls) unshown() (lens []uint32) {
	for _, n := range [...]uint32{unix.SizeofSockaddrInet4, unix.SizeofSockaddrInet6} {
		taken := false
		for _, p := range c.Paths {
			bare := uint32(len(p)) + 2 // sun_family; programs differ in whether they count the NUL
			taken = taken || bare == n || bare+1 == n
		}
		if !taken {
			lens = append(lens, n)
		}
	}
	return lens
}

// connectLen is how many instructions connectCheck appends.
func (c Calls) connectLen() int {
	if len(c.Paths) == 0 {
		return 0
	}
	return 1 + len(c.unshown()) + 1
}

// connectCheck appends the test of connect's addrlen. It ends right before the instruction that notifies.
func (c Calls) connectCheck(p []unix.SockFilter, allow int) []unix.SockFilter {
	if len(c.Paths) == 0 {
		return p
	}
	p = append(p, load(offArg2Low))
	for _, n := range c.unshown() {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(allow - len(p) - 1), Jf: 0, K: n})
	}
	// Shorter ones have no name.
	return append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jt: 0, Jf: uint8(allow - len(p) - 1), K: 3})
}
