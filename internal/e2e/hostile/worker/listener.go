package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// retryingListener is a listener whose method Accept tries again after an error, so that the worker continues to serve
// after a shutdown of the listener.
type retryingListener struct{ net.Listener }

func (l retryingListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return c, err
		}
		time.Sleep(time.Millisecond)
	}
}

// closeListener returns a handler that tries to close the listener for all workers. The response is the error, or "ok".
func closeListener(l net.Listener) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := tryToClose(l, r.FormValue("way"))
		if err == nil {
			err = errors.New("ok")
		}
		fmt.Fprintln(w, err)
	}
}

// tryToClose tries to close a TCP listener for all workers. The parameter way is "shutdown", "race", "disconnect",
// "filter" or "listen".
func tryToClose(l net.Listener, way string) error {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var tried error
	err = raw.Control(func(fd uintptr) {
		switch way {
		case "shutdown":
			for _, how := range []int{unix.SHUT_RD, unix.SHUT_WR, unix.SHUT_RDWR} {
				tried = errors.Join(tried, unix.Shutdown(int(fd), how))
			}
		case "race":
			tried = race(int(fd))
		case "disconnect":
			none := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
			if _, _, e := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&none)), unix.SizeofSockaddrInet4); e != 0 {
				tried = e
			}
		case "filter":
			drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
			tried = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
		case "listen":
			tried = unix.Listen(int(fd), 0)
		default:
			tried = fmt.Errorf("invalid way %q", way)
		}
	})
	return errors.Join(err, tried)
}

// The function race calls shutdown on a file descriptor while another thread replaces this descriptor again and again,
// in turn with the listener and with another socket. The shim, which intercepts shutdown, may then inspect a different
// socket than the socket that the kernel shuts down.
func race(listener int) error {
	other, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(other)
	at, err := unix.FcntlInt(uintptr(other), unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			_ = unix.Dup3(listener, at, unix.O_CLOEXEC)
			_ = unix.Dup3(other, at, unix.O_CLOEXEC)
		}
	}()
	for range 2000 {
		_ = unix.Shutdown(at, unix.SHUT_RDWR)
	}
	stop.Store(true)
	<-done
	return nil
}
