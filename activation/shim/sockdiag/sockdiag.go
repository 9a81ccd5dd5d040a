// Package sockdiag reads the state of sockets from the kernel (sock_diag(7)): listeners, the length of their accept queues,
// open connections and their counters. The package needs no privilege. The shim uses the package for drains, and clusterctl
// for "ls" and "show".
package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TCP states (include/net/tcp_states.h in Linux), as bits for the mask of a request.
const (
	Established = 1 << 1
	CloseWait   = 1 << 8
	Listen      = 1 << 10

	stateCloseWait = 8
	rcvShutdown    = 1 // RCV_SHUTDOWN, net/sock.h
)

const (
	sockDiagByFamily = 20   // SOCK_DIAG_BY_FAMILY
	inetDiagInfo     = 2    // INET_DIAG_INFO, attribute with struct tcp_info
	udiagShowName    = 1    // UDIAG_SHOW_NAME
	udiagShowVFS     = 2    // UDIAG_SHOW_VFS
	udiagShowRqlen   = 0x10 // UDIAG_SHOW_RQLEN
	inetDiagShutdown = 8    // INET_DIAG_SHUTDOWN
	unixDiagName     = 0    // UNIX_DIAG_NAME
	unixDiagVFS      = 1    // UNIX_DIAG_VFS
	unixDiagRqlen    = 4    // UNIX_DIAG_RQLEN
	unixDiagShutdown = 6    // UNIX_DIAG_SHUTDOWN

	inetMsgLen = 72 // struct inet_diag_msg
	unixMsgLen = 16 // struct unix_diag_msg
)

// Socket is the state of one socket.
type Socket struct {
	Ino      uint64 // 0 for a connection in an accept queue
	Family   uint8
	Addr     [16]byte // local address: the first 4 bytes for AF_INET, empty for a Unix socket
	Port     uint16   // local port; 0 for a Unix socket
	Peer     [16]byte // address of the peer, in the form of Addr
	PeerPort uint16
	Name     string // path or name to which a Unix socket is bound; the first byte of an abstract name is 0
	// File holds the low 32 bits of the inode number of the file to which a Unix socket is bound. File is 0 for other
	// sockets.
	File      uint32
	CloseWait bool // the peer has sent its FIN
	Shut      bool // the socket was shut down for receiving (shutdown(2)), so a listener refuses connections
	// Unread is the number of received bytes that the program has not read; for a listener, the number of connections in its
	// accept queue.
	Unread uint32
	// Unsent is the number of written bytes that the peer has not acknowledged; for a listener, the maximum length of its
	// accept queue.
	Unsent uint32
	Info   TCPInfo
}

// TCPInfo is a part of struct tcp_info. Ages are in milliseconds, and change in steps of a jiffy (4 ms with HZ=250).
type TCPInfo struct {
	SentAge  uint32 // time since data was last sent
	RecvAge  uint32 // time since data was last received
	AckAge   uint32 // time since an acknowledgement was last received
	Acked    uint64 // number of bytes that the peer has acknowledged
	Received uint64 // number of bytes that were received from the peer
}

// PeerAddress returns the address of the peer, such as "10.0.0.7:51234". PeerAddress returns "" for a Unix socket.
func (s *Socket) PeerAddress() string {
	var ip netip.Addr
	switch s.Family {
	case unix.AF_INET:
		ip = netip.AddrFrom4([4]byte(s.Peer[:4]))
	case unix.AF_INET6:
		ip = netip.AddrFrom16(s.Peer).Unmap()
	default:
		return ""
	}
	return netip.AddrPortFrom(ip, s.PeerPort).String()
}

// Conn is a netlink connection to the kernel. A Conn reads the sockets of the network namespace in which it was opened.
type Conn struct{ fd int }

// Open opens a connection.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("opening sock_diag: %w", err)
	}
	return &Conn{fd: fd}, nil
}

// Close closes the connection.
func (d *Conn) Close() { _ = unix.Close(d.fd) }

// TCP returns the TCP sockets of a family in one of the states in mask. Unless port is 0, it returns only sockets with this
// local port. If info is true, TCP also sets Socket.Info, and the kernel sends more than twice as much data.
func (d *Conn) TCP(family uint8, mask uint32, port uint16, info bool) ([]Socket, error) {
	req := inetRequest(family, unix.IPPROTO_TCP, mask, port)
	if info {
		req[2] = 1 << (inetDiagInfo - 1)
	}
	return d.dump(req, parseInet)
}

// UDP returns the UDP sockets of a family with the local port.
func (d *Conn) UDP(family uint8, port uint16) ([]Socket, error) {
	return d.dump(inetRequest(family, unix.IPPROTO_UDP, ^uint32(0), port), parseInet)
}

// inetRequest returns a struct inet_diag_req_v2.
func inetRequest(family, protocol uint8, mask uint32, port uint16) []byte {
	req := make([]byte, 56)
	req[0], req[1] = family, protocol
	binary.NativeEndian.PutUint32(req[4:], mask)
	binary.BigEndian.PutUint16(req[8:], port)
	return req
}

// Unix returns the Unix stream sockets in one of the states in mask.
func (d *Conn) Unix(mask uint32) ([]Socket, error) {
	req := make([]byte, 24) // struct unix_diag_req
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[4:], mask)
	binary.NativeEndian.PutUint32(req[12:], udiagShowName|udiagShowVFS|udiagShowRqlen)
	return d.dump(req, parseUnix)
}

// The method dump sends a request, and returns all sockets in the replies up to NLMSG_DONE.
func (d *Conn) dump(req []byte, parse func([]byte) (Socket, bool)) ([]Socket, error) {
	msg := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(req))
	binary.NativeEndian.PutUint32(msg[0:], uint32(unix.NLMSG_HDRLEN+len(req)))
	binary.NativeEndian.PutUint16(msg[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	msg = append(msg, req...)
	if err := unix.Sendto(d.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("asking sock_diag: %w", err)
	}
	var list []Socket
	buf := make([]byte, 64<<10) // more than the kernel puts in one datagram (32 KiB)
	for {
		n, _, err := unix.Recvfrom(d.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading from sock_diag: %w", err)
		}
		var done bool
		list, done, err = parseDump(list, buf[:n], parse)
		if done || err != nil {
			return list, err
		}
	}
}

// parseDump appends the sockets in one datagram to list, and reports whether the datagram contains NLMSG_DONE.
func parseDump(list []Socket, b []byte, parse func([]byte) (Socket, bool)) ([]Socket, bool, error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return list, false, errors.New("reading from sock_diag: message with an invalid size")
		}
		body := b[unix.NLMSG_HDRLEN:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return list, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return list, false, errors.New("reading from sock_diag: short error message")
			}
			errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			return list, false, fmt.Errorf("asking sock_diag: %w", errno)
		case sockDiagByFamily:
			if s, ok := parse(body); ok {
				list = append(list, s)
			}
		}
		b = b[min(align4(size), len(b)):]
	}
	return list, false, nil
}

func parseInet(b []byte) (Socket, bool) {
	if len(b) < inetMsgLen {
		return Socket{}, false
	}
	s := Socket{
		Family:    b[0],
		CloseWait: b[1] == stateCloseWait,
		Port:      binary.BigEndian.Uint16(b[4:]),
		Unread:    binary.NativeEndian.Uint32(b[56:]),
		Unsent:    binary.NativeEndian.Uint32(b[60:]),
		Ino:       uint64(binary.NativeEndian.Uint32(b[68:])),
	}
	copy(s.Addr[:], b[8:24])  // idiag_src
	copy(s.Peer[:], b[24:40]) // idiag_dst
	s.PeerPort = binary.BigEndian.Uint16(b[6:])
	// The kernel counts the FIN of the peer as one unread byte, because a FIN has a sequence number (tcp_diag_get_info:
	// rcv_nxt - copied_seq).
	if s.CloseWait && s.Unread > 0 {
		s.Unread--
	}
	eachAttr(b[inetMsgLen:], func(kind uint16, v []byte) {
		switch {
		case kind == inetDiagInfo:
			s.Info = parseTCPInfo(v)
		case kind == inetDiagShutdown && len(v) > 0:
			s.Shut = v[0]&rcvShutdown != 0
		}
	})
	return s, true
}

// parseTCPInfo parses struct tcp_info. Older kernels send a shorter struct, whose missing fields become 0.
func parseTCPInfo(b []byte) TCPInfo {
	var t unix.TCPInfo
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&t)), unsafe.Sizeof(t)), b)
	return TCPInfo{SentAge: t.Last_data_sent, RecvAge: t.Last_data_recv, AckAge: t.Last_ack_recv,
		Acked: t.Bytes_acked, Received: t.Bytes_received}
}

func parseUnix(b []byte) (Socket, bool) {
	if len(b) < unixMsgLen || b[1] != unix.SOCK_STREAM {
		return Socket{}, false
	}
	s := Socket{Family: b[0], Ino: uint64(binary.NativeEndian.Uint32(b[4:]))}
	eachAttr(b[unixMsgLen:], func(kind uint16, v []byte) {
		switch {
		case kind == unixDiagName:
			s.Name = string(v)
		case kind == unixDiagVFS && len(v) >= 4:
			s.File = binary.NativeEndian.Uint32(v)
		case kind == unixDiagShutdown && len(v) > 0:
			s.Shut = v[0]&rcvShutdown != 0
		case kind == unixDiagRqlen && len(v) >= 8:
			s.Unread = binary.NativeEndian.Uint32(v)
			s.Unsent = binary.NativeEndian.Uint32(v[4:])
		}
	})
	return s, true
}

// eachAttr calls do for each netlink attribute (netlink(7)) in b. eachAttr stops at an attribute that is longer than b.
func eachAttr(b []byte, do func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		do(binary.NativeEndian.Uint16(b[2:]), b[unix.SizeofRtAttr:size])
		b = b[min(align4(size), len(b)):]
	}
}

func align4(n int) int { return (n + 3) &^ 3 }

// Listening returns all listening TCP and Unix stream sockets, by inode.
func (d *Conn) Listening() (map[uint64]Socket, error) {
	all := make(map[uint64]Socket)
	for _, read := range []func() ([]Socket, error){
		func() ([]Socket, error) { return d.TCP(unix.AF_INET, Listen, 0, false) },
		func() ([]Socket, error) { return d.TCP(unix.AF_INET6, Listen, 0, false) },
		func() ([]Socket, error) { return d.Unix(Listen) },
	} {
		list, err := read()
		if errors.Is(err, os.ErrNotExist) {
			continue // the kernel has no sock_diag for this family
		}
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			all[s.Ino] = s
		}
	}
	return all, nil
}

// Connections returns the connections to listener l in all programs, including connections in its accept queue. The
// connections of a TCP listener have its family and port, and the connections of a Unix listener have its name. The
// parameter info is the same as in [Conn.TCP].
func (d *Conn) Connections(l Socket, info bool) ([]Socket, error) {
	if l.Family != unix.AF_UNIX {
		// The connections of a listener have its family: IPv4 connections of a dual-stack listener are AF_INET6 sockets.
		return d.TCP(l.Family, Established|CloseWait, l.Port, info)
	}
	all, err := d.Unix(Established)
	var list []Socket
	for _, s := range all {
		if s.Name == l.Name {
			list = append(list, s)
		}
	}
	return list, err
}
