package journald

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// streamIs reports whether f has the device and inode numbers of stream, which is "DEVICE:INODE".
func streamIs(stream string, f *os.File) bool {
	dev, ino, ok := strings.Cut(stream, ":")
	if !ok {
		return false
	}
	d, err1 := strconv.ParseUint(dev, 10, 64)
	i, err2 := strconv.ParseUint(ino, 10, 64)
	var st unix.Stat_t
	return err1 == nil && err2 == nil && unix.Fstat(int(f.Fd()), &st) == nil && uint64(st.Dev) == d && st.Ino == i
}

// socket sends entries to journald. It does not need a lock, because each entry is one datagram.
type socket struct {
	fd   int
	addr unix.SockaddrUnix
	// identity contains fields that are added to each entry.
	identity []byte
	// bigFile writes an entry that is too large for a datagram to a file, and returns the descriptor of the file.
	bigFile func(entry []byte) (int, error)
}

// newSocket opens a socket that sends entries to path, the socket of journald. The new socket is not connected, so
// that sending also works after a restart of journald. The new socket is never closed.
func newSocket(path string) (*socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a socket for the journal: %w", err)
	}
	// A larger buffer allows larger datagrams (libsystemd also uses 8 MiB). If the kernel refuses this size, large
	// entries are sent as files.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<20)
	s := &socket{fd: fd, addr: unix.SockaddrUnix{Name: path}, bigFile: memoryFile}
	if cgroup, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		s.identity = identity(string(cgroup))
	}
	return s, nil
}

func (s *socket) send(entry []byte) error {
	entry = append(entry, s.identity...)
	err := s.sendmsg(entry, nil)
	if !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	fd, err := s.bigFile(entry)
	if err != nil {
		// A seccomp filter may forbid memfd_create(2).
		if fd, err = temporaryFile(entry); err != nil {
			return err
		}
	}
	defer unix.Close(fd)
	return s.sendmsg(nil, unix.UnixRights(fd))
}

func (s *socket) sendmsg(data, rights []byte) error {
	for {
		err := unix.Sendmsg(s.fd, data, rights, &s.addr, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// memoryFile returns the descriptor of a memory file with the entry. The file is sealed, because journald accepts a
// memory file only if no process can change it.
func memoryFile(entry []byte) (int, error) {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	err = writeAll(fd, entry)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// temporaryFile returns the descriptor of an unnamed file with the entry. journald accepts such files only from these
// directories.
func temporaryFile(entry []byte) (int, error) {
	var errs []error
	for _, dir := range []string{"/dev/shm", "/var/tmp", "/tmp"} {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err = writeAll(fd, entry); err == nil {
			return fd, nil
		}
		unix.Close(fd)
		errs = append(errs, err)
	}
	return -1, fmt.Errorf("making a file for the journal: %w", errors.Join(errs...))
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}
