package drain_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// client is an HTTP client that never retries: if a request on a reused connection fails, request returns the error.
type client struct {
	addr, path string
	keepAlive  bool
	conn       net.Conn
	reader     *bufio.Reader
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) request() error {
	reused := c.conn != nil
	if !reused {
		conn, err := net.DialTimeout(network(c.addr), c.addr, patience.For(10*time.Second))
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	connection := "close"
	if c.keepAlive {
		connection = "keep-alive"
	}
	c.conn.SetDeadline(time.Now().Add(patience.For(30 * time.Second)))
	closes, err := c.exchange("GET " + c.path + " HTTP/1.1\r\nHost: test\r\nConnection: " + connection + "\r\n\r\n")
	if err != nil {
		c.close()
		return fmt.Errorf("request (reused %v): %w", reused, err)
	}
	if closes || !c.keepAlive {
		c.close()
	}
	return nil
}

func (c *client) exchange(request string) (closes bool, err error) {
	if _, err := io.WriteString(c.conn, request); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return false, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, fmt.Errorf("body: %w", err)
	}
	if resp.StatusCode != http.StatusOK || string(body) != "hello\n" {
		return false, fmt.Errorf("status %d, body %q", resp.StatusCode, body)
	}
	return resp.Close, nil
}

func network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp4"
}
