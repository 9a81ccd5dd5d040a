package sd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// sendSeconds limits how long send waits while the queue of systemd's socket is full, so
// that workers do not block if systemd is stopped in a debugger.
const sendSeconds = 3

// The function send sends one datagram. Like libsystemd, send opens a new socket for each
// message, because messages are rare and a shared socket would need a lock.
func send(socket, message string) error {
	if socket[0] != '/' && socket[0] != '@' {
		return errors.New("neither a path nor an abstract socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: sendSeconds}); err != nil {
		return fmt.Errorf("setting SO_SNDTIMEO: %w", err)
	}
	// sun_path has 108 bytes, including a final NUL. A socket can have a longer path, for
	// example if it was bound to a relative path. Then send opens the path as an O_PATH
	// descriptor and sends to /proc/self/fd/N.
	if socket[0] == '/' && len(socket) >= len(unix.RawSockaddrUnix{}.Path) {
		at, err := unix.Open(socket, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(at)
		socket = fmt.Sprintf("/proc/self/fd/%d", at)
	}
	for {
		// SockaddrUnix converts a leading @ to the NUL of an abstract name.
		err := unix.Sendto(fd, []byte(message), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: socket})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
