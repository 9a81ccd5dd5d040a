package adopt

import (
	"bytes"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The forked notifier carries a copy of the launcher's whole heap, most of it the
// Go runtime's own and growing with the number of CPUs, and needs next to nothing
// of it. So its state is put outside of the heap, and the heap's memory is given
// back in the child, but for the stack and the descriptor of the one goroutine, and
// what its thread keeps of it.
// This halves the size of a notifier on two CPUs, and it is the same on sixty-four.

// area is where the notifier's state lives: memory of its own, from the kernel.
type area struct {
	b    []byte
	used int
}

const areaSize = 64 << 10

func newArea() (*area, error) {
	b, err := unix.Mmap(-1, 0, areaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	return &area{b: b}, nil
}

// take reserves size bytes, aligned for any type; nil when the area is full.
func (a *area) take(size uintptr) unsafe.Pointer {
	const align = 16
	at := (a.used + align - 1) &^ (align - 1)
	if size > uintptr(len(a.b)-at) {
		return nil
	}
	a.used = at + int(size)
	return unsafe.Pointer(&a.b[at])
}

// text copies a string; ok is false when the area is full.
func (a *area) text(s *string) (ok bool) {
	if *s == "" {
		return true
	}
	p := a.take(uintptr(len(*s)))
	if p == nil {
		return false
	}
	copy(unsafe.Slice((*byte)(p), len(*s)), *s)
	*s = unsafe.String((*byte)(p), len(*s))
	return true
}

// listeners copies them with all that they point to.
func (a *area) listeners(ls []Listener) ([]Listener, bool) {
	if len(ls) == 0 {
		return nil, true
	}
	p := a.take(uintptr(len(ls)) * unsafe.Sizeof(ls[0]))
	if p == nil {
		return nil, false
	}
	out := unsafe.Slice((*Listener)(p), len(ls))
	copy(out, ls)
	for i := range out {
		if !a.text(&out[i].Name) || !a.text(&out[i].Want.Path) {
			return nil, false
		}
	}
	return out, true
}

// span is a range of addresses.
type span struct{ lo, hi uintptr }

// waste lists the parts of the heap that the child can do without; none when
// anything about them looks other than expected.
func waste() [4]span {
	g := getg()
	local, known := threadLocal()
	if g == nil || !known {
		return [4]span{}
	}
	at := uintptr(g)
	growStack() // before the heap is looked at: the larger stack may be in a part that is new
	heap := mapping(at)
	// Reading files may have moved the stack. From here on, up to the end of the
	// child, it stays: it is large enough.
	growStack()
	// The first field of the descriptor is the stack, its lower and upper bound
	// (runtime/runtime2.go, "offset known to runtime/cgo").
	stack := *(*span)(g)
	var here byte
	top := uintptr(unsafe.Pointer(&here))
	const descriptor = 1 << 10 // larger than it is
	if top < stack.lo || top >= stack.hi || stack.lo < heap.lo || stack.hi > heap.hi {
		return [4]span{}
	}
	return heap.without(pages(stack), pages(span{at, min(at+descriptor, heap.hi)}), pages(local))
}

// without is what is left of s. What is not in s at all takes nothing away.
func (s span) without(a, b, c span) (left [4]span) {
	if a.lo > b.lo {
		a, b = b, a
	}
	if b.lo > c.lo {
		b, c = c, b
	}
	if a.lo > b.lo {
		a, b = b, a
	}
	next := s.lo
	for i, k := range [...]span{a, b, c} {
		left[i] = span{next, min(k.lo, s.hi)}
		next = max(next, k.hi)
	}
	left[3] = span{next, s.hi}
	return left
}

// growStack makes the goroutine's stack large enough for all that follows the
// fork, so that it need not grow there.
//
//go:noinline
func growStack() byte {
	var big [16 << 10]byte
	return touch(&big)
}

//go:noinline
func touch(b *[16 << 10]byte) byte { return b[len(b)-1] }

// pages widens s to whole pages.
func pages(s span) span {
	size := uintptr(os.Getpagesize())
	return span{s.lo &^ (size - 1), (s.hi + size - 1) &^ (size - 1)}
}

// mapping finds the writable mapping around an address, proc_pid_maps(5).
func mapping(addr uintptr) span {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return span{}
	}
	for line := range bytes.Lines(b) {
		s, ok := parseMapping(line)
		if ok && s.lo <= addr && addr < s.hi {
			return s
		}
	}
	return span{}
}

// parseMapping reads "7f00-7f10 rw-p 00000000 00:00 0"; only private anonymous
// writable memory is ok.
func parseMapping(line []byte) (s span, ok bool) {
	f := bytes.Fields(line)
	if len(f) != 5 || string(f[1]) != "rw-p" || string(f[4]) != "0" {
		return span{}, false
	}
	lo, hi, found := bytes.Cut(f[0], []byte("-"))
	a, err := strconv.ParseUint(string(lo), 16, 64)
	b, berr := strconv.ParseUint(string(hi), 16, 64)
	return span{uintptr(a), uintptr(b)}, found && err == nil && berr == nil && a < b
}

// giveBack is called in the child.
func giveBack(spans *[4]span) {
	for i := range spans {
		if s := &spans[i]; s.lo < s.hi {
			unix.RawSyscall(unix.SYS_MADVISE, s.lo, s.hi-s.lo, unix.MADV_DONTNEED)
		}
	}
}
