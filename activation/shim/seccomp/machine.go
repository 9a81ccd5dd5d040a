package seccomp

import "golang.org/x/sys/unix"

// Machine holds the numbers that differ between architectures.
type Machine struct {
	Arch                          uint32 // AUDIT_ARCH_*, as in seccomp_data.arch
	X32Bit                        uint32 // the bit that marks x32 calls on amd64, else 0
	Bind, Listen, Accept, Accept4 uint32 // system call numbers
	Connect, Shutdown, Setsockopt uint32
	Path                          PathCalls
}

// AMD64 returns the machine of GOARCH=amd64.
//
// The numbers are written here, not taken from package unix, so that the filters of both machines are tested on each of
// them.
func AMD64() Machine {
	return Machine{Arch: unix.AUDIT_ARCH_X86_64, X32Bit: 0x40000000, Bind: 49, Listen: 50, Accept: 43, Accept4: 288,
		Connect: 42, Shutdown: 48, Setsockopt: 54, Path: pathsAMD64()}
}

// ARM64 returns the machine of GOARCH=arm64; see AMD64.
func ARM64() Machine {
	return Machine{Arch: unix.AUDIT_ARCH_AARCH64, Bind: 200, Listen: 201, Accept: 202, Accept4: 242,
		Connect: 203, Shutdown: 210, Setsockopt: 208, Path: pathsARM64()}
}
