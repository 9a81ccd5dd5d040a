package sockdiag

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseDumpRefuses(t *testing.T) {
	message := func(size uint32, kind uint16, body ...byte) []byte {
		b := binary.NativeEndian.AppendUint32(nil, size)
		b = binary.NativeEndian.AppendUint16(b, kind)
		return append(append(b, make([]byte, 10)...), body...)
	}
	eperm := binary.NativeEndian.AppendUint32(nil, ^uint32(unix.EPERM)+1)
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"an error":       {message(20, unix.NLMSG_ERROR, eperm...), "operation not permitted"},
		"a short error":  {message(16, unix.NLMSG_ERROR), "short error"},
		"size too large": {message(17, 0), "invalid size"},
		"size too small": {message(15, 0), "invalid size"},
	} {
		_, _, err := parseDump(nil, c.b, parseInet)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: parseDump returned the error %v, want %q", name, err, c.want)
		}
	}
	if list, done, err := parseDump(nil, message(16, unix.NLMSG_DONE), parseInet); !done || err != nil || list != nil {
		t.Errorf("parseDump of NLMSG_DONE = %v, %v, %v, want no socket, true, nil", list, done, err)
	}
}

// inetMessage returns a struct inet_diag_msg with the fields that the parser reads.
func inetMessage(state byte, port uint16, addr []byte, read, write, ino uint32) []byte {
	b := make([]byte, inetMsgLen)
	b[0], b[1] = unix.AF_INET, state
	binary.BigEndian.PutUint16(b[4:], port)
	copy(b[8:], addr)
	binary.NativeEndian.PutUint32(b[56:], read)
	binary.NativeEndian.PutUint32(b[60:], write)
	binary.NativeEndian.PutUint32(b[68:], ino)
	return b
}

func TestParseInet(t *testing.T) {
	got, ok := parseInet(inetMessage(10, 8080, []byte{127, 0, 0, 1}, 3, 4096, 77))
	want := Socket{Family: unix.AF_INET, Addr: [16]byte{127, 0, 0, 1}, Port: 8080, Unread: 3, Unsent: 4096, Ino: 77}
	if !ok || got != want {
		t.Errorf("parseInet of a listener = %+v, %v, want %+v", got, ok, want)
	}
	// The FIN of the peer is not a byte that the program can read.
	if got, ok := parseInet(inetMessage(stateCloseWait, 80, nil, 1, 0, 5)); !ok || !got.CloseWait || got.Unread != 0 {
		t.Errorf("parseInet of a connection after a FIN = %+v, %v, want CloseWait true and Unread 0", got, ok)
	}
	if _, ok := parseInet(make([]byte, inetMsgLen-1)); ok {
		t.Error("parseInet returned true for a message that is too short, want false")
	}
}

func TestParseUnix(t *testing.T) {
	attr := func(kind uint16, v ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), v...)
		return append(b, make([]byte, align4(len(b))-len(b))...)
	}
	b := make([]byte, unixMsgLen)
	b[0], b[1] = unix.AF_UNIX, unix.SOCK_STREAM
	binary.NativeEndian.PutUint32(b[4:], 9)
	queue := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 2), 128)
	b = slices.Concat(b, attr(unixDiagName, []byte("/run/a.sock")...), attr(unixDiagRqlen, queue...))
	if got, ok := parseUnix(b); !ok || got != (Socket{Family: unix.AF_UNIX, Ino: 9, Name: "/run/a.sock", Unread: 2, Unsent: 128}) {
		t.Errorf("parseUnix = %+v, %v, want the name /run/a.sock and the queue 2 of 128", got, ok)
	}
	b[1] = unix.SOCK_DGRAM
	if _, ok := parseUnix(b); ok {
		t.Error("parseUnix returned true for a datagram socket, want false")
	}
}

// FuzzParse checks that the parsers do not panic for any datagram.
func FuzzParse(f *testing.F) {
	f.Add(slices.Concat(binary.NativeEndian.AppendUint32(nil, 100), []byte{20, 0}, make([]byte, 94)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (Socket, bool){parseInet, parseUnix} {
			if _, _, err := parseDump(nil, b, parse); err != nil && !strings.Contains(err.Error(), "sock_diag") {
				t.Errorf("the error does not name sock_diag: %v", err)
			}
		}
		parseTCPInfo(b)
	})
}

// TestListener: Listening returns the length of the accept queue of a listener, and Connections returns the connections in
// the queue.
func TestListener(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 7); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	const pending = 3
	for range pending {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		if err := unix.Connect(c, name); err != nil {
			t.Fatal(err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	conn, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	all, err := conn.Listening()
	if err != nil {
		t.Fatal(err)
	}
	l := all[st.Ino]
	if int(l.Port) != port || l.Addr != ([16]byte{127, 0, 0, 1}) || l.Unread != pending || l.Unsent != 7 {
		t.Errorf("the listener is %+v, want 127.0.0.1:%d with the queue %d of 7", l, port, pending)
	}
	open, err := conn.Connections(l, false)
	if err != nil || len(open) != pending {
		t.Fatalf("Connections returned %+v, %v, want %d connections", open, err, pending)
	}
	for _, c := range open {
		if c.Ino != 0 {
			t.Errorf("a connection in the accept queue is %+v, want inode 0", c)
		}
	}
}
