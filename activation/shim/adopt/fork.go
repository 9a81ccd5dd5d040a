package adopt

import (
	"syscall"
	_ "unsafe" // go:linkname requires this import

	"golang.org/x/sys/unix"
)

// beforeFork and afterFork are the hooks of the runtime around a fork. Package syscall uses these hooks, and the runtime
// also allows other packages, such as gVisor, to use them (go.dev/issue/67401). Without the hooks, the child sometimes
// inherits a request of the runtime's monitor thread to yield the processor. At the beginning of the next function, the
// child would then wait for a thread that does not exist. On a loaded machine, about one of twenty starts hung in this way.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

// clone forks the calling thread, and returns in both processes. The child has no monitor thread that could ask it to
// yield.
//
// Between the hooks, clone must not call a function that checks the stack.
//
//go:noinline
//go:norace
func clone() (pid int, e unix.Errno) {
	beforeFork()
	r, _, e := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	// The hook AfterForkInChild of the runtime does not reset the stack guard, so every ordinary function would fail.
	// afterFork resets the guard, which also removes the request to yield.
	afterFork()
	return int(r), e
}

// growStack makes the goroutine's stack large enough for all code that runs after the fork, because growing the stack later
// would allocate memory.
//
//go:noinline
func growStack() byte {
	var big [16 << 10]byte
	return lastOf(&big)
}

//go:noinline
func lastOf(b *[16 << 10]byte) byte { return b[len(b)-1] }
