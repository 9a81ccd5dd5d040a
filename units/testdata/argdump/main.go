// Argdump writes its command line, environment, working directory and socket address to the files cmdline, environ, cwd and
// socket in the directory $DUMP. Then it sends READY=1, and ends when systemd has read the message. The tests of package
// units run argdump under a real systemd, as the program and in place of the shim. If $DUMP exists, argdump does nothing, so
// that ExecStop= does not overwrite the files of ExecStart=.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	if err := run(os.Getenv("DUMP")); err != nil {
		fmt.Fprintln(os.Stderr, "argdump:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, name := range []string{"cmdline", "environ"} {
		data, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	cwd, err := os.Readlink("/proc/self/cwd")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cwd"), []byte(cwd), 0o644); err != nil {
		return err
	}
	if os.Getenv("LISTEN_FDS") != "" {
		sa, err := syscall.Getsockname(3)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "socket"), []byte(sa.(*syscall.SockaddrUnix).Name), 0o644); err != nil {
			return err
		}
	}
	return ready(os.Getenv("NOTIFY_SOCKET"))
}

// ready sends READY=1 and waits until systemd has read the message (sd_notify_barrier(3), since 246). Otherwise PID 1 may
// notice the exit of the program before it reads the message, and the start would fail ("protocol").
func ready(socket string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("READY=1")); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	_, _, err = conn.WriteMsgUnix([]byte("BARRIER=1"), syscall.UnixRights(int(w.Fd())), nil)
	w.Close()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // until systemd closes the other end
	return err
}
