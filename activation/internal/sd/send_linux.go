package sd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// sendSeconds limits the wait for space in the queue of systemd's socket, so that a
// systemd that is stopped in a debugger does not block its workers.
const sendSeconds = 3

// send sends one datagram. It opens a new socket each time, like libsystemd: messages are
// rare, and there is nothing to keep, close or lock.
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
	// sun_path has 108 bytes, including a final NUL. A longer path can exist if a shorter
	// relative path was bound; it is reached through an O_PATH descriptor.
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
