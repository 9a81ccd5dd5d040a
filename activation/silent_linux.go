package activation

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// silentFor returns how long nothing has been received on conn. sinceState is the time since
// net/http reported conn as new or idle. The result is shorter if the kernel has received
// data since then: net/http does not report a part of a TLS handshake or of a request
// header, but only a complete header.
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
	_ = raw.Control(func(fd uintptr) { // an error means that conn is closed, which net/http reports
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			silent = min(silent, time.Duration(info.Last_data_recv)*time.Millisecond)
		}
		// For a Unix socket, the kernel reports only the number of unread bytes.
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil && n > 0 {
			silent = 0
		}
	})
	return silent
}
