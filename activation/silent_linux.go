package activation

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// silentFor returns how long nothing has been received on conn. That is sinceState, the time
// since net/http reported the connection as new or idle, or less if the kernel has received
// something later. net/http reports a connection as active only after a complete request
// header, so only the kernel sees a header or a TLS handshake that is not complete.
func silentFor(conn net.Conn, sinceState time.Duration) time.Duration {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return sinceState
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return sinceState
	}
	silent := sinceState
	_ = raw.Control(func(fd uintptr) { // after an error conn is already closed, and net/http reports that
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			silent = min(silent, time.Duration(info.Last_data_recv)*time.Millisecond)
		}
		// A Unix socket only has the number of bytes that are not read yet.
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil && n > 0 {
			silent = 0
		}
	})
	return silent
}
