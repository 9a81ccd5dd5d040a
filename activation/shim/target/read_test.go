package target

import (
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestReaderOnSelf reads the state of this process, which the test knows.
func TestReaderOnSelf(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	pid, n := uint32(os.Getpid()), uint32(fd)
	var r Reader
	if k, e := r.Kind(pid, n); e != 0 || k != TCP6 {
		t.Errorf("Kind = %d, %v, want TCP6", k, e)
	}
	if inode, ok := r.Inode(pid, n); !ok || inode != st.Ino {
		t.Errorf("Inode = %d, %v, want %d", inode, ok, st.Ino)
	}
	if flags, ok := r.Flags(pid, n); !ok || !CloseOnExec(flags) || !NonBlocking(flags) {
		t.Errorf("Flags = %o, %v, want O_CLOEXEC and O_NONBLOCK", flags, ok)
	}
	if s, ok := r.Stat(pid); !ok || s.Parent != uint64(os.Getppid()) {
		t.Errorf("Stat = %+v, %v, want the parent %d", s, ok, os.Getppid())
	}
	if tids, ok := r.Threads(pid); !ok || len(tids) < 2 || !slices.Contains(tids, pid) {
		t.Errorf("Threads = %v, %v, want at least two, with %d", tids, ok, pid)
	}
	if len(r.Name(pid)) == 0 {
		t.Error("Name returned an empty name")
	}
	if _, ok := r.Inode(pid, 1<<20); ok {
		t.Error("Inode of a closed descriptor returned true, want false")
	}
	sa := in4(8080, 127, 0, 0, 1)
	var a Addr
	if ok, e := r.Sockaddr(pid, uint64(uintptr(unsafe.Pointer(&sa[0]))), 16, &a); !ok || e != 0 || a.Port != 8080 {
		t.Errorf("Sockaddr = %v, %v with the address %v, want port 8080", ok, e, &a)
	}
	runtime.KeepAlive(sa)
	if ok, e := r.Sockaddr(pid, 8, 16, &a); ok || e != 0 {
		t.Errorf("Sockaddr at an unmapped address = %v, %v, want false, 0", ok, e)
	}
	if ok, e := r.Sockaddr(pid, 8, 4096, &a); ok || e != 0 {
		t.Errorf("Sockaddr with 4096 bytes = %v, %v, want false, 0", ok, e)
	}
}

// TestReaderDoesNotAllocate: the methods of Reader must not allocate, because the notifier has no garbage collector.
func TestReaderDoesNotAllocate(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pid, fd := uint32(os.Getpid()), uint32(f.Fd())
	sa := in4(8080, 127, 0, 0, 1)
	r, a := new(Reader), new(Addr)
	text := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		r.Kind(pid, fd)
		r.Inode(pid, fd)
		r.Flags(pid, fd)
		r.Stat(pid)
		r.Name(pid)
		r.Sockaddr(pid, uint64(uintptr(unsafe.Pointer(&sa[0]))), 16, a)
		text = a.AppendTo(text[:0])
	}); n != 0 {
		t.Errorf("the reader made %v allocations, want 0", n)
	}
	if string(text) != "127.0.0.1:8080" {
		t.Errorf("AppendTo returned %q, want 127.0.0.1:8080", text)
	}
}
