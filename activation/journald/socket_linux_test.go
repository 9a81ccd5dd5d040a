package journald

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The function listen binds a socket. It returns the path of the socket, and a function that
// receives an entry and reports whether the entry came in a sealed file.
func listen(t *testing.T) (path string, receive func() (data []byte, sealed bool)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
		t.Fatal(err)
	}
	return path, func() ([]byte, bool) {
		t.Helper()
		data, rights := make([]byte, 16<<20), make([]byte, 64)
		n, rn, _, _, err := unix.Recvmsg(fd, data, rights, 0)
		if err != nil {
			t.Fatal(err)
		}
		if rn == 0 {
			return data[:n], false
		}
		messages, err := unix.ParseSocketControlMessage(rights[:rn])
		if err != nil || n != 0 {
			t.Fatalf("got a file and %d bytes, error %v", n, err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fds[0]), "entry")
		defer f.Close()
		seals, _ := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		// Read from offset 0, as journald does, because the writer has changed the offset of the
		// file.
		content := make([]byte, st.Size)
		if _, err := f.ReadAt(content, 0); err != nil {
			t.Fatal(err)
		}
		return content, seals == unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE
	}
}

func TestSend(t *testing.T) {
	path, receive := listen(t)
	s, err := newSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s.fd)
	s.identity = []byte("OWN=1\n")
	small, big := []byte("MESSAGE=small\n"), appendField(nil, "MESSAGE", strings.Repeat("x\n", 20<<20))
	if err := s.send(small); err != nil {
		t.Fatal(err)
	}
	if got, _ := receive(); string(got) != "MESSAGE=small\nOWN=1\n" {
		t.Errorf("got %q, want MESSAGE=small and OWN=1", got)
	}
	for _, way := range []string{"memory", "file"} {
		if way == "file" {
			s.bigFile = func([]byte) (int, error) { return -1, unix.EPERM }
		}
		if err := s.send(bytes.Clone(big)); err != nil {
			t.Fatal(err)
		}
		got, sealed := receive()
		if !bytes.Equal(got, append(bytes.Clone(big), s.identity...)) || sealed != (way == "memory") {
			t.Errorf("%s: %d bytes, sealed: %v", way, len(got), sealed)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.send(small); err == nil {
		t.Error("send returned no error after the socket was removed")
	}
}

func TestStream(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if !streamIs(fmt.Sprintf("%d:%d", st.Dev, st.Ino), f) {
		t.Error("streamIs = false for the device and inode numbers of the file")
	}
	for _, s := range []string{"", "1", ":", fmt.Sprintf("%d:%d", st.Dev, st.Ino+1), "a:b"} {
		if streamIs(s, f) {
			t.Errorf("streamIs(%q) = true, want false", s)
		}
	}
}
