// Package target reads the state of another process from /proc, such as the address that the process has passed to bind(2),
// and the kind, flags and inode of a descriptor.
//
// # Invariants
//
//   - The package does not write to the other process.
//   - The functions that parse bytes accept any bytes without a panic.
//   - The methods of Reader use raw system calls and the buffers of the Reader, and do not allocate, because the notifier is
//     a forked Go process without a scheduler.
//   - Sockaddr, Text and Socket need the right to attach to the process (PTRACE_MODE_ATTACH in ptrace(2)), which Yama may
//     restrict. All other methods only need PTRACE_MODE_READ.
package target

import (
	"bytes"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reader reads the state of threads of other processes. A Reader contains all buffers, so it can be allocated before a fork
// and used after the fork.
type Reader struct {
	path [64]byte
	data [1024]byte
	stat unix.Stat_t
	long [MaxPath + 64]byte
	tids [64]uint32
}

// Sockaddr reads a socket address of n bytes at the memory address ptr of thread tid, and decodes it into a. If ok is false
// and the errno is 0, the bytes are not an address of IPv4, IPv6 or a Unix socket. EACCES and EPERM mean that this process
// may not read the memory (because of Yama, or because the other process is not dumpable).
func (r *Reader) Sockaddr(tid uint32, ptr uint64, n uint64, a *Addr) (ok bool, e unix.Errno) {
	if n > MaxSockaddr {
		return false, 0
	}
	fd, e := r.open(r.proc(tid, "/mem", -1))
	if e != 0 {
		return false, e
	}
	got, _, e := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&r.data)), uintptr(n), uintptr(ptr), 0, 0)
	closeFD(fd)
	if e == unix.EIO || e == 0 && uint64(got) != n {
		return false, 0 // the memory is not mapped, so bind(2) will return EFAULT
	}
	if e != 0 {
		return false, e
	}
	return DecodeSockaddr(r.data[:n], a), 0
}

// Kind returns the kind of the socket at descriptor fd of thread tid.
func (r *Reader) Kind(tid uint32, fd uint32) (Kind, unix.Errno) {
	name := [...]byte{'s', 'y', 's', 't', 'e', 'm', '.', 's', 'o', 'c', 'k', 'p', 'r', 'o', 't', 'o', 'n', 'a', 'm', 'e', 0}
	n, _, e := unix.RawSyscall6(unix.SYS_GETXATTR, uintptr(unsafe.Pointer(r.proc(tid, "/fd/", int64(fd)))),
		uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&r.data)), 64, 0, 0)
	if e != 0 {
		return Unknown, e
	}
	return ParseProto(r.data[:n]), 0
}

// Inode returns the inode of the socket at descriptor fd of thread tid. ok is false if the descriptor is not a socket or
// cannot be read.
func (r *Reader) Inode(tid uint32, fd uint32) (inode uint64, ok bool) {
	at := unix.AT_FDCWD
	n, _, e := unix.RawSyscall6(unix.SYS_READLINKAT, uintptr(at), uintptr(unsafe.Pointer(r.proc(tid, "/fd/", int64(fd)))),
		uintptr(unsafe.Pointer(&r.data)), 64, 0, 0)
	if e != 0 {
		return 0, false
	}
	return ParseSocketLink(r.data[:n])
}

// Socket duplicates descriptor fd of thread tid into this process, with pidfd_getfd(2) (Linux 5.6). The caller must close
// the new descriptor.
func (r *Reader) Socket(tid, fd uint32) (int, unix.Errno) {
	// Use a pidfd of the process, because a pidfd of a thread needs Linux 6.9. All threads share the descriptors.
	pid := uint64(tid)
	if b, ok := r.file(r.proc(tid, "/status", -1)); ok {
		if leader, ok := ParseThreadGroup(b); ok {
			pid = leader
		}
	}
	pidfd, _, e := unix.RawSyscall(unix.SYS_PIDFD_OPEN, uintptr(pid), 0, 0)
	if e != 0 {
		return -1, e
	}
	s, _, e := unix.RawSyscall(unix.SYS_PIDFD_GETFD, pidfd, uintptr(fd), 0)
	closeFD(int(pidfd))
	if e != 0 {
		return -1, e
	}
	return int(s), 0
}

// Flags returns the open flags, including O_CLOEXEC, of descriptor fd of thread tid.
func (r *Reader) Flags(tid uint32, fd uint32) (flags uint32, ok bool) {
	b, ok := r.file(r.proc(tid, "/fdinfo/", int64(fd)))
	if !ok {
		return 0, false
	}
	return ParseFlags(b)
}

// Umask returns the umask of process pid.
func (r *Reader) Umask(pid uint32) (umask uint32, ok bool) {
	b, ok := r.file(r.proc(pid, "/status", -1))
	if !ok {
		return 0, false
	}
	return ParseUmask(b)
}

// Threads returns the thread ids of the process to which thread tid belongs, at most 64. The result is valid until the next
// call of Threads.
func (r *Reader) Threads(tid uint32) ([]uint32, bool) {
	fd, e := r.open(r.proc(tid, "/task", -1))
	if e != 0 {
		return nil, false
	}
	tids := r.tids[:0]
	for {
		n, _, e := unix.RawSyscall(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&r.data)), uintptr(len(r.data)))
		if e != 0 || n == 0 {
			break
		}
		tids = ParseThreads(r.data[:n], tids)
	}
	closeFD(fd)
	return tids, len(tids) > 0
}

// Stat returns the parent, the state and the CPU time of process pid.
func (r *Reader) Stat(pid uint32) (s Stat, ok bool) {
	b, ok := r.file(r.proc(pid, "/stat", -1))
	if !ok {
		return Stat{}, false
	}
	return ParseStat(b)
}

// Identity holds the effective user of a thread, and its namespaces.
type Identity struct {
	UID              uint32
	User, Mount, Net Namespace
}

// Namespace identifies a namespace. The zero Namespace means that the kernel does not support this kind of namespace.
type Namespace struct{ device, inode uint64 }

// Same reports whether both identities have the same namespaces.
func (i *Identity) Same(j *Identity) bool {
	return i.User == j.User && i.Mount == j.Mount && i.Net == j.Net
}

// Identity stores the identity of thread tid in id. ESRCH and ENOENT mean that the thread has ended. The threads of one
// process may have different identities, because the system calls setresuid(2) and unshare(2) change a single thread.
func (r *Reader) Identity(tid uint32, id *Identity) unix.Errno {
	b, e := r.fileErrno(r.proc(tid, "/status", -1))
	if e != 0 {
		return e
	}
	uid, ok := ParseUID(b)
	if !ok {
		return unix.EINVAL
	}
	id.UID = uid
	if id.User, e = r.namespace(tid, "/ns/user"); e != 0 {
		return e
	}
	if id.Mount, e = r.namespace(tid, "/ns/mnt"); e != 0 {
		return e
	}
	id.Net, e = r.namespace(tid, "/ns/net")
	return e
}

// namespace returns the namespace of thread tid at a link such as "/ns/user" (namespaces(7)).
func (r *Reader) namespace(tid uint32, link string) (Namespace, unix.Errno) {
	at, st := unix.AT_FDCWD, &r.stat
	_, _, e := unix.RawSyscall6(sysFstatat, uintptr(at), uintptr(unsafe.Pointer(r.proc(tid, link, -1))),
		uintptr(unsafe.Pointer(st)), 0, 0, 0)
	if e == unix.ENOENT {
		return Namespace{}, 0 // the kernel does not support this kind of namespace
	}
	if e != 0 {
		return Namespace{}, e
	}
	return Namespace{uint64(st.Dev), st.Ino}, 0
}

// Name returns the command name of process pid, at most 15 bytes. The result is valid until the next call of a method.
func (r *Reader) Name(pid uint32) []byte {
	b, ok := r.file(r.proc(pid, "/comm", -1))
	if !ok {
		return nil
	}
	name, _, _ := bytes.Cut(b, []byte{'\n'})
	return name
}

// file returns the first kilobyte of a file.
func (r *Reader) file(path *byte) ([]byte, bool) {
	b, e := r.fileErrno(path)
	return b, e == 0
}

func (r *Reader) fileErrno(path *byte) ([]byte, unix.Errno) {
	fd, e := r.open(path)
	if e != 0 {
		return nil, e
	}
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&r.data)), uintptr(len(r.data)))
	closeFD(fd)
	if e != 0 {
		return nil, e
	}
	return r.data[:n], 0
}

// proc returns the path "/proc/TID" + middle + last, which ends with NUL. A negative last is omitted.
func (r *Reader) proc(tid uint32, middle string, last int64) *byte {
	p := append(r.path[:0], "/proc/"...)
	p = strconv.AppendUint(p, uint64(tid), 10)
	p = append(p, middle...)
	if last >= 0 {
		p = strconv.AppendInt(p, last, 10)
	}
	p = append(p, 0)
	return &p[0]
}

func (r *Reader) open(path *byte) (int, unix.Errno) {
	at := unix.AT_FDCWD
	fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(path)), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	return int(fd), e
}

func closeFD(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }
