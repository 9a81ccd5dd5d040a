package target

import (
	"bytes"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxPath is the maximum length of a path, including its NUL, that Text reads.
const MaxPath = 1024

// Place identifies a directory by device and inode. The zero Place is not a directory.
type Place struct{ device, inode uint64 }

// Text copies the string at the memory address ptr of thread tid to p, and returns its length without the NUL. ok is false
// if the string is longer than p, or its memory is not mapped.
func (r *Reader) Text(tid uint32, ptr uint64, p *[MaxPath]byte) (n int, ok bool, e unix.Errno) {
	fd, e := r.open(r.proc(tid, "/mem", -1))
	if e != 0 {
		return 0, false, e
	}
	got, _, e := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(p)), uintptr(len(p)), uintptr(ptr), 0, 0)
	closeFD(fd)
	if e == unix.EIO {
		return 0, false, 0
	}
	if e != 0 {
		return 0, false, e
	}
	n = bytes.IndexByte(p[:got], 0)
	return n, n >= 0, 0
}

// SplitPath returns the directory of a path, which is empty or ends in a slash, and its last element.
func SplitPath(path []byte) (dir, base []byte) {
	i := bytes.LastIndexByte(path, '/') + 1
	return path[:i], path[i:]
}

// Directory returns the directory at the path dir, as thread tid resolves the path. A path without a slash at its beginning
// is relative to the directory at descriptor dirfd, or to the working directory if dirfd is AT_FDCWD. ok is false if the
// directory cannot be read.
func (r *Reader) Directory(tid uint32, dirfd int32, dir []byte) (p Place, ok bool) {
	b := append(r.long[:0], "/proc/"...)
	b = strconv.AppendUint(b, uint64(tid), 10)
	switch {
	case len(dir) > 0 && dir[0] == '/':
		b = append(b, "/root"...)
	case dirfd == unix.AT_FDCWD:
		b = append(b, "/cwd/"...)
	default:
		b = append(b, "/fd/"...)
		b = strconv.AppendInt(b, int64(dirfd), 10)
		b = append(b, '/')
	}
	return r.place(b, dir)
}

// Here returns the directory at the absolute path dir, as this process resolves the path.
func (r *Reader) Here(dir string) (p Place, ok bool) {
	if len(dir) >= len(r.long) {
		return Place{}, false
	}
	return r.place(append(r.long[:0], dir...), nil)
}

// The method place returns the directory at the path b + dir. The memory of b must be r.long, because place appends to b.
func (r *Reader) place(b, dir []byte) (p Place, ok bool) {
	if len(b)+len(dir) >= len(r.long) {
		return Place{}, false
	}
	b = append(append(b, dir...), 0)
	at, st := unix.AT_FDCWD, &r.stat
	_, _, e := unix.RawSyscall6(sysFstatat, uintptr(at), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(st)), 0, 0, 0)
	return Place{uint64(st.Dev), st.Ino}, e == 0 && st.Mode&unix.S_IFMT == unix.S_IFDIR
}
