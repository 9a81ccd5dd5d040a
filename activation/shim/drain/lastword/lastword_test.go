package lastword

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const date = "Date: Mon, 23 Nov 2026 16:03:35 GMT\r\n"

func TestAnswers(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	long := strings.Repeat("X-Filler: "+strings.Repeat("x", 88)+"\r\n", 30)
	bye := "Connection:                   close\r\n"
	for _, c := range []struct{ name, sent, received string }{
		{"Go: the Date goes",
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\n" + bye + "Content-Length: 2\r\n\r\nhi"},
		{"in lower case",
			"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + strings.Replace(date, "Date", "date", 1) + "\r\nhi",
			"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + bye + "\r\nhi"},
		{"keep-alive goes first, the Date stays",
			"HTTP/1.1 404 Not Found\r\n" + date + "Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 404 Not Found\r\n" + date + "Connection:      close\r\nContent-Length: 2\r\n\r\nhi"},
		{"Keep-Alive as gunicorn's users write it",
			"HTTP/1.1 200 OK\r\nconnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\nconnection:      close\r\nContent-Length: 2\r\n\r\nhi"},
		{"no answer but 1xx", "HTTP/1.1 101 Switching Protocols\r\n" + date + "\r\n", ""},
		{"headers in the body",
			"HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n" + date + "Connection: keep-alive\r\n", ""},
		{"another list in Connection", "HTTP/1.1 200 OK\r\nConnection: keep-alive, x\r\n\r\n", ""},
		{"a header that only begins like it", "HTTP/1.1 200 OK\r\nDate-X: Mon, 23 Nov 2026 16:03:35 GMT\r\n\r\n", ""},
		{"a date of another form", "HTTP/1.1 200 OK\r\nDate: Monday, 23-Nov-26 16:03:35 GMT+1\r\n\r\n", ""},
		{"beyond the limit", "HTTP/1.1 200 OK\r\n" + long + date + "\r\n", ""},
		{"not HTTP", "HTTP/2.0 200 OK\r\n" + date + "\r\n", ""},
		{"shorter than anything", "HTTP/1.1", ""},
		{"ends within the header", "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026", ""},
		{"large body behind it",
			"HTTP/1.1 200 OK\r\n" + date + "\r\n" + strings.Repeat(date, 20000),
			"HTTP/1.1 200 OK\r\n" + bye + "\r\n" + strings.Repeat(date, 20000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.received
			if want == "" {
				want = c.sent
			}
			if got := transfer(t, s, c.sent); got != want {
				t.Errorf("sent\n%.200q\ncame as\n%.200q\nwant\n%.200q", c.sent, got, want)
			}
		})
	}
}

// TestClientAgrees is what the word is for: net/http's client takes it.
func TestClientAgrees(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server, client := pair(t)
	if err := addConn(s, server); err != nil {
		t.Fatal(err)
	}
	go io.WriteString(server, "HTTP/1.1 200 OK\r\n"+date+"Content-Length: 2\r\n\r\nhi")
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !resp.Close || resp.ContentLength != 2 {
		t.Errorf("Close %v, ContentLength %d; want true, 2", resp.Close, resp.ContentLength)
	}
}

// TestAfterClose: with the Speaker closed, connections are as they were.
func TestAfterClose(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	server, client := pair(t)
	if err := addConn(s, server); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const text = "HTTP/1.1 200 OK\r\n" + date + "\r\n"
	// The kernel frees the map after a grace period of RCU; until then the word
	// may still be said, and any number of answers must come through.
	for range 50 {
		if _, err := io.WriteString(server, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
	}
}

// transfer sends text on a connection with the program and returns what arrives.
func transfer(t *testing.T, s *Speaker, text string) string {
	t.Helper()
	server, client := pair(t)
	if err := addConn(s, server); err != nil {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(server, text)
		server.Close()
	}()
	got, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func addConn(s *Speaker, conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var added error
	err = raw.Control(func(fd uintptr) { added = s.Add(int(fd)) })
	if err != nil {
		return err
	}
	return added
}

func pair(t *testing.T) (server, client *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}
