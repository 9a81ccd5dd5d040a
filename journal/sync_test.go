package journal

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

// TestWriteLine checks the header and the line that writeLine sends to journald.
func TestWriteLine(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "stdout")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}()
	if err := writeLine(t.Context(), socket, "a line"); err != nil {
		t.Fatal(err)
	}
	if s, want := <-got, "clusterctl\n\n6\n0\n0\n0\n0\na line\n"; s != want {
		t.Errorf("got %q, want %q", s, want)
	}
	if err := writeLine(t.Context(), filepath.Join(t.TempDir(), "none"), "a line"); err == nil {
		t.Error("writeLine returned no error without journald")
	}
}
