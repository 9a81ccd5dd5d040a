package activation

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// silentFor returns how long nothing has come in on conn: sinceState, the time that
// net/http has called it new or idle, or less when the kernel knows of something later.
// net/http calls a connection active only when it has read a whole request header, so a
// client that is in the middle of sending one, or of a TLS handshake, shows here alone.
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
	_ = raw.Control(func(fd uintptr) { // on error conn is closed already, and net/http is about to say so
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			silent = min(silent, time.Duration(info.Last_data_recv)*time.Millisecond)
		}
		// What has come and is not read yet: all there is to know of a unix socket.
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil && n > 0 {
			silent = 0
		}
	})
	return silent
}
