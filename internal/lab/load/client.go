package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxBody limits the size of a response body.
const maxBody = 16 << 20

// client sends one request at a time. A run has Options.Conns clients.
type client struct {
	run    *Run
	id     int
	conn   *os.File // nil before the first dial and after hangUp
	in     *bufio.Reader
	reader *errorReader // the source of in, which stores the last error of conn
	used   int          // number of requests that were written to conn
}

func (c *client) loop() {
	defer c.hangUp()
	for {
		n, ok := c.run.nextRequest()
		if !ok {
			return
		}
		begin := time.Now()
		worker, err := c.request(n, begin.Add(c.run.opts.Timeout))
		c.record(n, begin, worker, err)
	}
}

func (c *client) record(n int64, begin time.Time, worker string, err error) {
	took := time.Since(begin)
	r := c.run
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Requests++
	if err != nil {
		r.report.fail(begin.Add(took).Sub(r.start), fmt.Sprintf("request %d after %v", n, took.Round(time.Microsecond)), err)
		return
	}
	r.report.OK++
	r.report.Slowest = max(r.report.Slowest, took)
	if worker != "" {
		r.report.Workers[worker]++
	}
}

// The method request sends one request and reads the response. The method closes the connection after a failure, and after a
// response with Connection: close.
func (c *client) request(n int64, deadline time.Time) (worker string, err error) {
	if err := c.dial(deadline); err != nil {
		return "", err
	}
	keep := false
	defer func() {
		if !keep {
			c.hangUp()
		}
	}()
	if err := c.conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	c.used++
	where := fmt.Sprintf("use %d of connection %d", c.used, c.id)
	if _, err := io.WriteString(c.conn, c.head(n)); err != nil {
		return "", fmt.Errorf("writing, %s: %w", where, err)
	}
	resp, body, err := c.answer()
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	if c.run.opts.KeepAlive {
		keep = !resp.Close
		if resp.Close {
			c.run.tally(func(r *Report) { r.AnnouncedClose++ })
		}
	}
	worker = resp.Header.Get(c.run.opts.WorkerHeader)
	if worker == "" && len(body) <= 64 {
		worker = strings.TrimSpace(body)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", fmt.Errorf("%s: %w: %s (worker %q)", where, errBadStatus, resp.Status, worker)
	}
	return worker, nil
}

func (c *client) head(n int64) string {
	connection := "close"
	if c.run.opts.KeepAlive {
		connection = "keep-alive"
	}
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: lab\r\nX-Request: %d\r\nConnection: %s\r\n\r\n",
		c.run.target.uri, c.run.target.host, n, connection)
}

// The method answer reads one complete response.
func (c *client) answer() (*http.Response, string, error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, "", c.classify("reading the answer", err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, "", c.classify("reading the body", err)
	}
	if len(body) > maxBody {
		return nil, "", fmt.Errorf("%w: more than %d bytes", errAnswer, maxBody)
	}
	return resp, string(body), nil
}

// classify returns the error of the connection, if it has one, and otherwise errAnswer. The error of the parser is not
// enough: if the connection ends within a header line, the parser returns an error about the line.
func (c *client) classify(doing string, err error) error {
	if c.reader.err != nil {
		return fmt.Errorf("%s: %w", doing, c.reader.err)
	}
	return fmt.Errorf("%w: %s: %v", errAnswer, doing, err)
}

// errorReader is a reader that stores its last error.
type errorReader struct {
	r   io.Reader
	err error
}

func (r *errorReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.err = err
	return n, err
}

// dial opens a connection if c.conn is nil. With Options.NoticeClose, dial first replaces a connection that the peer has
// closed.
func (c *client) dial(deadline time.Time) error {
	if c.conn != nil && c.run.opts.NoticeClose && closedByPeer(c.conn) {
		c.hangUp()
		c.run.tally(func(r *Report) { r.IdleClosed++ })
	}
	if c.conn != nil {
		return nil
	}
	conn, err := c.run.sockets.dial(c.run.target, deadline)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	c.conn, c.used = conn, 0
	c.reader = &errorReader{r: conn}
	c.in = bufio.NewReader(c.reader)
	c.run.tally(func(r *Report) { r.Dials++ })
	return nil
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (r *Run) tally(f func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.report)
}

// closedByPeer reports whether the peer of an idle connection has closed or reset the connection, or has sent unexpected
// bytes.
func closedByPeer(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, rerr := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = !errors.Is(rerr, unix.EAGAIN)
	})
	return closed || err != nil
}
