package adopt

import (
	"syscall"
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/unix"
)

// The runtime's own hooks around fork, which package syscall uses for fork and
// exec. The runtime keeps them for others too (go.dev/issue/67401; gVisor is one). Without them the child inherits, now and
// then, a request of the runtime's monitor thread to yield the processor; it obeys in the prologue of the next function and
// waits for a thread that does not exist. On a loaded machine this happened once in some twenty starts.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

// clone forks this one thread, and returns in both processes. In the child no
// monitor thread exists, so nothing asks it to yield.
//
// Between the hooks nothing may be called that checks the stack.
//
//go:noinline
//go:norace
func clone() (pid int, e unix.Errno) {
	beforeFork()
	r, _, e := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	// Not AfterForkInChild: it leaves the stack guard in the state that makes
	// every ordinary function fail. This one sets it again, which also drops the
	// request to yield.
	afterFork()
	return int(r), e
}

// growStack makes the goroutine's stack large enough for everything after the fork. Growing it there would allocate.
//
//go:noinline
func growStack() byte {
	var big [16 << 10]byte
	return lastOf(&big)
}

//go:noinline
func lastOf(b *[16 << 10]byte) byte { return b[len(b)-1] }
