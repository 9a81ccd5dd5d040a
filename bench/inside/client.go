package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// answer is a response of a server.
type answer struct {
	Status int    `json:"status"`
	Worker string `json:"-"`
	Body   string `json:"body"`
}

// client sends requests on one connection. It never repeats a request.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(port int, deadline time.Time) (*client, error) {
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

func (c *client) close() { c.conn.Close() }

// The method get sends one request and reads the complete response. closing reports whether the server will close the
// connection.
func (c *client) get(path string, keep bool) (a answer, closing bool, err error) {
	connection := "close"
	if keep {
		connection = "keep-alive"
	}
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: %s\r\n\r\n", path, connection); err != nil {
		return answer{}, true, err
	}
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{}, true, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return answer{}, true, err
	}
	return answer{r.StatusCode, r.Header.Get("X-Worker"), string(b)}, r.Close, nil
}

// getOnce sends one request on a new connection.
func getOnce(port int, path string, deadline time.Time) (answer, error) {
	c, err := dial(port, deadline)
	if err != nil {
		return answer{}, err
	}
	defer c.close()
	a, _, err := c.get(path, false)
	return a, err
}

// refusedPause is the pause after a refused connection. patience is how long firstAnswer waits for a response before it
// opens another connection in parallel. The second connection is necessary because a dying server may have accepted the
// first one, and never responds on it. parallel is the maximum number of connections.
const (
	refusedPause = 500 * time.Microsecond
	patience     = 50 * time.Millisecond
	parallel     = 4
)

// firstAnswer sends requests until the function approve accepts a response, and returns the time of that response. Only a
// few connections wait at a time, because a longer queue would be extra work for the new worker.
func firstAnswer(port int, path string, deadline time.Time, approve func(answer) bool) (time.Time, error) {
	type result struct {
		at  time.Time
		a   answer
		err error
	}
	results := make(chan result, parallel)
	ask := func() {
		a, err := getOnce(port, path, deadline)
		results <- result{time.Now(), a, err}
	}
	waiting := 1
	go ask()
	var last error
	for time.Now().Before(deadline) {
		select {
		case r := <-results:
			waiting--
			if r.err == nil && approve(r.a) {
				return r.at, nil
			}
			if last = r.err; errors.Is(r.err, syscall.ECONNREFUSED) {
				time.Sleep(refusedPause)
			}
			if waiting == 0 {
				waiting++
				go ask()
			}
		case <-time.After(patience):
			if waiting < parallel {
				waiting++
				go ask()
			}
		}
	}
	return time.Time{}, fmt.Errorf("no response on port %d: %w", port, errors.Join(last, errors.New("timeout")))
}

// awaitCommand waits until a port responds.
func awaitCommand(args []string) (any, error) {
	f := flags("await")
	port := f.Int("port", 0, "")
	path := f.String("path", "/", "")
	timeout := f.Duration("timeout", 30*time.Second, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	_, err := firstAnswer(*port, *path, time.Now().Add(*timeout), func(answer) bool { return true })
	return struct{}{}, err
}

// fetchCommand prints the response of a port, so that it can be compared with the response of another port.
func fetchCommand(args []string) (any, error) {
	f := flags("fetch")
	port := f.Int("port", 0, "")
	path := f.String("path", "/", "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return getOnce(*port, *path, time.Now().Add(10*time.Second))
}
