package adopt

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadLocal is where this thread keeps the address of its goroutine's descriptor: 8 bytes below the FS base, which for
// every thread but the first lies in a descriptor of the thread on the heap. It is read behind each call of assembly, so
// a child without it ends with "bad g in signal handler".
func threadLocal() (span, bool) {
	const getFS = 0x1003 // ARCH_GET_FS, arch_prctl(2)
	var base uintptr
	_, _, e := unix.RawSyscall(unix.SYS_ARCH_PRCTL, getFS, uintptr(unsafe.Pointer(&base)), 0)
	return span{base - 8, base}, e == 0 && base > 8
}
