package httpclose

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const (
	date    = "Date: Mon, 23 Nov 2026 16:03:35 GMT\r\n"
	closed  = "Connection:                   close\r\n"
	request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	ok      = "HTTP/1.1 200 OK\r\n"
	length  = "Content-Length: 2\r\n"
)

// TestResponses sends one response on each connection. If the field received is empty, the response must arrive
// unchanged.
func TestResponses(t *testing.T) {
	s := newRewriter(t)
	long := strings.Repeat("X-Filler: "+strings.Repeat("x", 88)+"\r\n", 29)
	huge := strings.Repeat("X-Filler: "+strings.Repeat("x", 88)+"\r\n", 31)
	for _, c := range []struct{ name, sent, received string }{
		{"Go: the Date is replaced", ok + date + length + "\r\nhi", ok + closed + length + "\r\nhi"},
		{"headers in lower case",
			ok + "content-length: 2\r\n" + strings.Replace(date, "Date", "date", 1) + "\r\nhi",
			ok + "content-length: 2\r\n" + closed + "\r\nhi"},
		{"keep-alive is replaced, and the Date stays",
			"HTTP/1.1 404 Not Found\r\n" + date + "Connection: keep-alive\r\n" + length + "\r\nhi",
			"HTTP/1.1 404 Not Found\r\n" + date + "Connection:      close\r\n" + length + "\r\nhi"},
		{"Keep-Alive with capital letters",
			ok + "connection: Keep-Alive\r\n" + length + "\r\nhi",
			ok + "connection:      close\r\n" + length + "\r\nhi"},
		{"chunked", ok + date + "Transfer-Encoding: chunked\r\n\r\n", ok + closed + "Transfer-Encoding: chunked\r\n\r\n"},
		{"length 0", ok + date + "Content-Length: 0\r\n\r\n", ok + closed + "Content-Length: 0\r\n\r\n"},
		{"a status without a body", "HTTP/1.1 304 Not Modified\r\n" + date + "\r\n", "HTTP/1.1 304 Not Modified\r\n" + closed + "\r\n"},
		{"status line without a reason", "HTTP/1.1 200\r\n" + date + length + "\r\nhi", "HTTP/1.1 200\r\n" + closed + length + "\r\nhi"},
		{"a long head", ok + long + date + length + "\r\nhi", ok + long + closed + length + "\r\nhi"},
		{"status 101", "HTTP/1.1 101 Switching Protocols\r\n" + date + "\r\n", ""},
		{"headers in the body", ok + "Content-Length: 37\r\n\r\n" + date + "Connection: keep-alive\r\n", ""},
		{"Connection header with two values", ok + "Connection: keep-alive, x\r\n" + date + length + "\r\nhi", ""},
		{"two Connection headers", ok + "Connection: keep-alive\r\nConnection: keep-alive\r\n" + length + "\r\nhi", ""},
		{"the server sends close itself", ok + date + "Connection: close\r\n" + length + "\r\nhi", ""},
		{"a header that begins like Date", ok + "Date-X: Mon, 23 Nov 2026 16:03:35 GMT\r\n" + length + "\r\nhi", ""},
		{"a date of another form", ok + "Date: Monday, 23-Nov-26 16:03:35 GMT+1\r\n" + length + "\r\nhi", ""},
		{"head longer than the limit", ok + huge + date + length + "\r\nhi", ""},
		{"response to CONNECT", "HTTP/1.1 200 Connection established\r\n" + date + "\r\n", ""},
		{"signed", ok + date + length + "Signature-Input: s=(\"date\");keyid=\"k\"\r\nSignature: s=:AA==:\r\n\r\nhi", ""},
		{"signed, with the signature before the Date", ok + "signature: s=:AA==:\r\n" + date + length + "\r\nhi", ""},
		{"not HTTP", "HTTP/2.0 200 OK\r\n" + date + length + "\r\nhi", ""},
		{"TLS", "\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), ""},
		{"status that is not a number", "HTTP/1.1 2x0 OK\r\n" + date + length + "\r\nhi", ""},
		{"status 700", "HTTP/1.1 700 OK\r\n" + date + length + "\r\nhi", ""},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n" + date + length + "\r\nhi", ""},
		{"tab instead of a space before the status", "HTTP/1.1\t200 OK\r\n" + date + length + "\r\nhi", ""},
		{"shorter than a status line", "HTTP/1.1", ""},
		{"cut within the Date header", ok + "Date: Mon, 23 Nov 2026", ""},
		{"head without its end", ok + date + length, ""},
		{"head without its last LF", ok + date + length + "\r", ""},
		{"CR without LF", ok + date + length + "\rx\n\r\nhi", ""},
		{"large body",
			ok + date + "Content-Length: 740000\r\n\r\n" + strings.Repeat(date, 20000),
			ok + closed + "Content-Length: 740000\r\n\r\n" + strings.Repeat(date, 20000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.received
			if want == "" {
				want = c.sent
			}
			for _, when := range []string{"before the request", "after the request"} {
				p := newPair(t, s)
				if when == "before the request" {
					p.add()
				}
				p.ask(request)
				p.add()
				if got := p.transfer(c.sent); got != want {
					t.Errorf("Add %s, response\n%.200q\nthe client got\n%.200q\nwant\n%.200q", when, c.sent, got, want)
				}
				wantResult := Pending
				switch {
				case c.received != "":
					wantResult = Rewritten
				case c.name == "TLS":
					wantResult = NotHTTP
				}
				if result, err := s.Result(p.key); err != nil || result != wantResult {
					t.Errorf("Result returned %v, %v, want %v", result, err, wantResult)
				}
			}
		})
	}
}

// TestSends: only the first send after a request is changed, and only once on each connection.
func TestSends(t *testing.T) {
	s := newRewriter(t)
	const response, changed = ok + date + length + "\r\nhi", ok + closed + length + "\r\nhi"
	for _, c := range []struct {
		name string
		// "add" adds the connection to the Rewriter. Other steps have a text after their first letter. "?": the client sends
		// the text, and the server reads it. "+": the server reads only the first request. "!": the server sends the text,
		// which arrives unchanged. "-": the server sends response, which arrives as changed.
		steps []string
	}{
		{"only one response", []string{"add", "?" + request, "-" + response, "?" + request, "!" + response, "!" + response}},
		{"a second send after one request",
			[]string{"add", "?" + request, "!" + ok + length + "\r\n", "!" + response, "!" + response}},
		{"connection added within a body", []string{"?" + request, "!" + ok + length + "\r\n", "add", "!" + response, "!" + response}},
		{"connection added within a body, next response changed",
			[]string{"?" + request, "!" + ok + length + "\r\n", "add", "!" + response, "?" + request, "-" + response}},
		{"connection added between two requests", []string{"?" + request, "!" + response, "add", "?" + request, "-" + response}},
		{"new connection added, response without a request", []string{"add", "!" + response}},
		{"a head that is not changed counts as a send", []string{"add", "?" + request, "!" + ok + "\r\n", "!" + response}},
		{"a head in two sends",
			[]string{"add", "?" + request, "!" + ok + date, "!" + length + "\r\nhi", "?" + request, "-" + response}},
		{"100 Continue", []string{"add", "?" + request, "!HTTP/1.1 100 Continue\r\n\r\n", "!" + response}},
		{"a request that the server has not read", []string{"add", "+" + request + request, "!" + response, "!" + response}},
		{"responses to two pipelined requests", []string{"add", "?" + request + request, "-" + response, "!" + response}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, s)
			for _, step := range c.steps {
				switch step[0] {
				case 'a':
					p.add()
				case '?':
					p.ask(step[1:])
				case '+':
					p.askUnread(step[1:], len(request))
				case '!':
					p.exchange(step[1:], step[1:])
				case '-':
					p.exchange(response, changed)
				}
			}
		})
	}
}

// TestHTTPClient: the client of net/http accepts a changed response.
func TestHTTPClient(t *testing.T) {
	p := newPair(t, newRewriter(t))
	p.add()
	p.ask(request)
	go io.WriteString(p.server, ok+date+length+"\r\nhi")
	resp, err := http.ReadResponse(bufio.NewReader(p.client), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !resp.Close || resp.ContentLength != 2 {
		t.Errorf("the response has Close %v, ContentLength %d, want true, 2", resp.Close, resp.ContentLength)
	}
}

// TestAfterRemove: all responses arrive after Remove and after Close. Remove ends the changes at once.
func TestAfterRemove(t *testing.T) {
	const text = ok + date + length + "\r\nhi"
	for _, c := range []struct {
		name string
		end  func(s *Rewriter, k Key) error
		same bool // whether all responses must arrive unchanged
	}{
		{"Remove", (*Rewriter).Remove, true},
		// After Close, the program stays attached for a short time, until the kernel frees the map, and may still change a
		// response.
		{"Close", func(s *Rewriter, k Key) error { return s.Close() }, false},
	} {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		p := newPair(t, s)
		p.add()
		if err := c.end(s, p.key); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			p.ask(request)
			if _, err := io.WriteString(p.server, text); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(text))
			if _, err := io.ReadFull(p.client, got); err != nil || c.same && string(got) != text {
				t.Fatalf("after %s: the client got %q, %v, want %q", c.name, got, err, text)
			}
		}
		if c.same {
			if err := s.Remove(p.key); err != nil {
				t.Errorf("Remove of a removed connection: %v", err)
			}
			s.Close()
		}
	}
}

func newRewriter(t testing.TB) *Rewriter {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The type pair is a connection between a client and a server.
type pair struct {
	t              testing.TB
	s              *Rewriter
	server, client *net.TCPConn
	key            Key
	added          bool
}

func newPair(t testing.TB, s *Rewriter) *pair {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &pair{t: t, s: s}
	if p.client, err = net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.client.Close() })
	if p.server, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.server.Close() })
	return p
}

// The method add adds the connection to the Rewriter. A second call does nothing.
func (p *pair) add() {
	p.t.Helper()
	if p.added {
		return
	}
	p.added = true
	raw, err := p.server.SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	var addErr error
	if err := raw.Control(func(fd uintptr) { p.key, addErr = p.s.Add(int(fd)) }); err != nil || addErr != nil {
		p.t.Fatal(err, addErr)
	}
}

// The method ask sends a request from the client, and the server reads it.
func (p *pair) ask(text string) { p.t.Helper(); p.askUnread(text, len(text)) }

// askUnread sends a request from the client, and the server reads only n bytes.
func (p *pair) askUnread(text string, n int) {
	p.t.Helper()
	if _, err := io.WriteString(p.client, text); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.ReadFull(p.server, make([]byte, n)); err != nil {
		p.t.Fatal(err)
	}
}

// The method exchange sends a response and checks that the client gets want.
func (p *pair) exchange(text, want string) {
	p.t.Helper()
	if _, err := io.WriteString(p.server, text); err != nil {
		p.t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(p.client, got); err != nil || string(got) != want {
		p.t.Fatalf("response\n%.100q\nthe client got\n%.100q, %v, want\n%.100q", text, got, err, want)
	}
}

// The method transfer sends text from the server, closes the connection, and returns the text that the client gets.
func (p *pair) transfer(text string) string {
	p.t.Helper()
	go func() {
		io.WriteString(p.server, text)
		p.server.Close()
	}()
	got, err := io.ReadAll(p.client)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(got)
}
