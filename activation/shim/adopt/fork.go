package adopt

import (
	"syscall"
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/unix"
)

// beforeFork and afterFork are the hooks of the runtime around a fork. Package syscall uses them, and the runtime keeps them
// for other users, such as gVisor (go.dev/issue/67401). Without them the child sometimes inherits a request of the runtime's
// monitor thread to yield the processor. The child obeys in the prologue of the next function and waits for a thread that
// does not exist. On a loaded machine this happened once in about twenty starts.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

// clone forks the calling thread, and returns in both processes. The child has no monitor thread that could ask it to yield.
//
// It must not call a function that checks the stack between the hooks.
//
//go:noinline
//go:norace
func clone() (pid int, e unix.Errno) {
	beforeFork()
	r, _, e := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	// AfterForkInChild would leave the stack guard in the state in which every ordinary function fails. afterFork resets the
	// guard, which also drops the request to yield.
	afterFork()
	return int(r), e
}

// growStack makes the goroutine's stack large enough for all code after the fork, where growing the stack would allocate.
//
//go:noinline
func growStack() byte {
	var big [16 << 10]byte
	return lastOf(&big)
}

//go:noinline
func lastOf(b *[16 << 10]byte) byte { return b[len(b)-1] }
