package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// reusePortCommand runs n workers until it is killed. Each worker has its own listener on the same port (SO_REUSEPORT) as
// descriptor 3: reuseport -port 8080 -n 4 -- node hello.js. Workers that end are not restarted.
func reusePortCommand(args []string) (any, error) {
	f := flags("reuseport")
	port := f.Int("port", 0, "")
	n := f.Int("n", 1, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() == 0 {
		return nil, errors.New("missing command after --")
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var serr error
		err := c.Control(func(fd uintptr) {
			serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, serr)
	}}
	var workers []*exec.Cmd
	for range *n {
		l, err := lc.Listen(context.Background(), "tcp", ":"+strconv.Itoa(*port))
		if err != nil {
			return nil, err
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(f.Arg(0), f.Args()[1:]...)
		cmd.ExtraFiles = []*os.File{file}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		// Close the file and the listener, because no connection may wait in the queue of a listener on which this process
		// does not accept.
		if err := errors.Join(file.Close(), l.Close()); err != nil {
			return nil, err
		}
		workers = append(workers, cmd)
	}
	var errs []error
	for _, w := range workers {
		errs = append(errs, w.Wait())
	}
	return struct{}{}, errors.Join(errs...)
}
