package sd

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// System returns an Env with the functions of this process.
func System() Env {
	return Env{
		Lookup:      os.LookupEnv,
		Unset:       os.Unsetenv,
		Pid:         os.Getpid,
		PidfdID:     pidfdID,
		Probe:       probe,
		CloseOnExec: closeOnExec,
	}
}

// Dup returns a close-on-exec duplicate of p. The duplicate shares the open file
// description of p, and therefore the flag O_NONBLOCK.
func (p Passed) Dup() (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(p.FD), unix.F_DUPFD_CLOEXEC, FirstFD)
	if err != nil {
		return nil, fmt.Errorf("duplicating fd %d: %w", p.FD, err)
	}
	return os.NewFile(uintptr(n), p.Name), nil
}

// MonotonicUsec returns CLOCK_MONOTONIC in microseconds, for MONOTONIC_USEC= of
// sd_notify(3).
func MonotonicUsec() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("reading CLOCK_MONOTONIC: %w", err)
	}
	return ts.Nano() / 1000, nil
}

func closeOnExec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return err
}

// pidfdID returns the inode number of a pidfd of this process. pidfdID returns false
// if the kernel has no pidfs (before Linux 6.9). On such a kernel, all pidfds have the
// same inode number, and systemd does not set LISTEN_PIDFDID.
func pidfdID() (uint64, bool) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || int64(fs.Type) != unix.PID_FS_MAGIC {
		return 0, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false
	}
	return st.Ino, true
}

func probe(fd int) (Kind, string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Other, "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return Other, fileType(st.Mode), nil
	}
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return Other, "", err
	}
	switch typ {
	case unix.SOCK_DGRAM:
		return Packet, "a datagram socket", nil
	case unix.SOCK_STREAM, unix.SOCK_SEQPACKET:
	default:
		return Other, "a raw socket", nil
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		return Other, "", err
	}
	if listening == 0 {
		return Other, "a socket that does not listen (perhaps a connection, as with Accept=yes)", nil
	}
	return Listener, "a listening socket", nil
}

func fileType(mode uint32) string {
	names := map[uint32]string{unix.S_IFIFO: "a FIFO", unix.S_IFREG: "a regular file", unix.S_IFCHR: "a character device",
		unix.S_IFDIR: "a directory"}
	return cmp.Or(names[mode&unix.S_IFMT], "not a socket")
}
