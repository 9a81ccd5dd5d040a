package httpclose

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestBodies: with sends of any size, the client gets exactly the bytes that the server sends, except for one header in one
// head. The bodies contain texts in the form of heads.
func TestBodies(t *testing.T) {
	s := newRewriter(t)
	rewritten := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := newPair(t, s)
		defer p.server.Close()
		defer p.client.Close()
		if respond(rt, p) {
			rewritten++
		}
	})
	if rewritten == 0 {
		t.Error("no head was changed, want at least one")
	}
}

// The list parts holds parts of bodies: stored messages, parts of a multipart body, chunks, and pieces of heads.
var parts = []string{
	ok + date + length + "\r\nhi", ok + "Connection: keep-alive\r\n" + length + "\r\nhi", "HTTP/1.1 304 Not Modified\r\n" + date + "\r\n",
	ok, date, length, "Connection: keep-alive\r\n", "Transfer-Encoding: chunked\r\n", "\r\n", "HTTP/1.1 ", request,
	"--b\r\nContent-Type: application/http\r\n\r\n", "WARC/1.1\r\nWARC-Type: response\r\n\r\n", "5d\r\n", "Signature: s=:AA==:\r\n",
	strings.Repeat("x", 1000), strings.Repeat("HTTP/1.1 200 OK\r\n"+date, 100),
}

// The list heads holds heads of responses. The first three heads have a Date or Connection header that may be changed.
var heads = []string{
	ok + date + length, ok + "Connection: keep-alive\r\n" + date + "Transfer-Encoding: chunked\r\n", "HTTP/1.1 304 Not Modified\r\n" + date,
	ok + length, ok + date, ok + date + length + "Signature: s=:AA==:\r\n", "HTTP/1.1 100 Continue\r\n",
	ok + date + length + "Connection: close\r\n",
}

// The function respond sends requests and responses on one connection, and adds the connection to the Rewriter at a
// random time. The result is whether a head was changed.
func respond(t *rapid.T, p *pair) bool {
	addAt := rapid.IntRange(0, 12).Draw(t, "add at")
	event := 0
	changed := false
	for range rapid.IntRange(1, 5).Draw(t, "responses") {
		if event++; event > addAt {
			p.add()
		}
		p.ask(request)
		head := rapid.SampledFrom(heads).Draw(t, "head") + "\r\n"
		body := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 8).Draw(t, "body"), "")
		wait := make(chan []byte)
		go func() {
			got := make([]byte, len(head)+len(body))
			n, _ := io.ReadFull(p.client, got)
			wait <- got[:n]
		}()
		for _, piece := range pieces(t, head, body) {
			if event++; event > addAt {
				p.add()
			}
			if _, err := io.WriteString(p.server, piece); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "wait for the acknowledgement") {
				checkAcknowledged(t, p)
			}
		}
		got := <-wait
		if want := head + body; string(got) != want {
			if changed || !isAllowed([]byte(head), got[:min(len(head), len(got))]) || string(got[len(head):]) != body {
				t.Fatalf("response\n%q\nthe client got\n%q", want, got)
			}
			changed = true
		}
	}
	return changed
}

// The function pieces cuts a response into sends: between head and body, before texts in the body that begin like a head,
// and anywhere.
func pieces(t *rapid.T, head, body string) []string {
	all := head + body
	cuts := map[int]bool{}
	if rapid.Bool().Draw(t, "head and body apart") {
		cuts[len(head)] = true
	}
	for at := len(head); at < len(all); at++ {
		if strings.HasPrefix(all[at:], "HTTP/1.1 ") && rapid.Bool().Draw(t, "cut before a head") {
			cuts[at] = true
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "cuts") {
		cuts[rapid.IntRange(1, len(all)).Draw(t, "cut")] = true
	}
	var list []string
	from := 0
	for at := 1; at <= len(all); at++ {
		if cuts[at] || at == len(all) {
			list = append(list, all[from:at])
			from = at
		}
	}
	return list
}

// isAllowed reports whether the received head (got) equals the sent head, or differs only by an allowed
// change.
func isAllowed(sent, got []byte) bool {
	short := []byte("Connection:      close\r\n")
	return bytes.Equal(got, bytes.Replace(sent, []byte(date), []byte(closed), 1)) ||
		bytes.Equal(got, bytes.Replace(sent, []byte("Connection: keep-alive\r\n"), short, 1))
}

// checkAcknowledged waits until the client's kernel has acknowledged all data. While data is not acknowledged,
// the BPF program does not change the next send.
func checkAcknowledged(t *rapid.T, p *pair) {
	raw, err := p.server.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for unsent := 1; unsent > 0; {
		if err := raw.Control(func(fd uintptr) { unsent, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
			t.Fatal(err)
		}
	}
}
