package seccomp

import "golang.org/x/sys/unix"

// PathCalls holds the numbers of the system calls that remove or rename a path or change its owner or mode. It is 0 for a
// call that the machine does not have.
type PathCalls struct {
	Unlink, Unlinkat, Rename, Renameat, Renameat2       uint32
	Chmod, Fchmodat, Fchmodat2, Chown, Lchown, Fchownat uint32
}

// pathsAMD64 and pathsARM64 contain numbers for the same reason as [AMD64].
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

// connectTests returns the tests for the length of the address. connect(2) is not shown for the lengths of IPv4 and IPv6, so
// that connections to other machines are not slowed down, unless one of the paths has an address of this length.
func (c Calls) connectTests() (tests []test) {
	for _, n := range [...]uint32{unix.SizeofSockaddrInet4, unix.SizeofSockaddrInet6} {
		taken := false
		for _, p := range c.Paths {
			bare := uint32(len(p)) + 2 // with sun_family; some programs also count the NUL
			taken = taken || bare == n || bare+1 == n
		}
		if !taken {
			tests = append(tests, test{unix.BPF_JEQ, n, false})
		}
	}
	return append(tests, test{unix.BPF_JGE, 3, true}) // shorter addresses have no name
}
