package seccomp

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Machine holds the numbers that the filters need for one architecture.
type Machine struct {
	Arch                          uint32 // AUDIT_ARCH_*, as in seccomp_data.arch
	X32Bit                        uint32 // the bit that marks x32 calls on amd64, else 0
	Bind, Listen, Accept, Accept4 uint32 // system call numbers
	Connect, Shutdown, Setsockopt uint32
	Path                          PathCalls
}

// PathCalls holds the numbers of the system calls that remove or rename a file or change its owner or mode. A number is 0 if
// the architecture does not have the call.
type PathCalls struct {
	Unlink, Unlinkat, Rename, Renameat, Renameat2       uint32
	Chmod, Fchmodat, Fchmodat2, Chown, Lchown, Fchownat uint32
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

// AMD64 returns the machine of GOARCH=amd64.
//
// The numbers do not come from package unix, which only has the numbers of the current architecture. With the numbers here,
// the tests check the filters of both architectures on every machine.
func AMD64() Machine {
	return Machine{Arch: unix.AUDIT_ARCH_X86_64, X32Bit: 0x40000000, Bind: 49, Listen: 50, Accept: 43, Accept4: 288,
		Connect: 42, Shutdown: 48, Setsockopt: 54,
		Path: PathCalls{Unlink: 87, Unlinkat: 263, Rename: 82, Renameat: 264, Renameat2: 316,
			Chmod: 90, Fchmodat: 268, Fchmodat2: 452, Chown: 92, Lchown: 94, Fchownat: 260}}
}

// ARM64 returns the machine of GOARCH=arm64; see AMD64.
func ARM64() Machine {
	return Machine{Arch: unix.AUDIT_ARCH_AARCH64, Bind: 200, Listen: 201, Accept: 202, Accept4: 242,
		Connect: 203, Shutdown: 210, Setsockopt: 208,
		Path: PathCalls{Unlinkat: 35, Renameat: 38, Renameat2: 276, Fchmodat: 53, Fchmodat2: 452, Fchownat: 54}}
}

// Native returns the machine of this binary. ok is false if the package does not support its architecture.
func Native() (m Machine, ok bool) {
	switch runtime.GOARCH {
	case "amd64":
		return AMD64(), true
	case "arm64":
		return ARM64(), true
	}
	return Machine{}, false
}
