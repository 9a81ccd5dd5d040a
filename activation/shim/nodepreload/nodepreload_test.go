package nodepreload_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/nodepreload"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// server is a running Node program that has loaded the script.
type server struct {
	cmd  *exec.Cmd
	addr string
	ways []string
}

func start(t *testing.T, script string) *server {
	t.Helper()
	preload, err := filepath.Abs(nodepreload.FileName)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", script)
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=--require "+preload)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s printed nothing: %v", script, err)
	}
	words := strings.Fields(line)
	return &server{cmd: cmd, addr: "127.0.0.1:" + words[0], ways: words[1:]}
}

// conn is one keep-alive connection.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func (s *server) dial(t *testing.T) *conn {
	t.Helper()
	c, err := net.Dial("tcp4", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience.For(60 * time.Second)))
	return &conn{c, bufio.NewReader(c)}
}

func (c *conn) get(path string) (*http.Response, error) {
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.ReadAll(resp.Body)
	return resp, err
}

// The method drain sends the signal and waits until the program has handled it. A response on a new connection then has
// Connection: close.
func (s *server) drain(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGURG); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		resp, err := s.dial(t).get("/implicit")
		if err != nil {
			t.Fatal(err)
		}
		if resp.Close {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("SIGURG has no effect")
}

// TestEveryResponse: before the drain, connections stay open after any kind of response. After the drain has begun, the
// next response on a connection has Connection: close, whatever header the program sets, and ends the connection. An
// idle connection is not closed.
func TestEveryResponse(t *testing.T) {
	for _, script := range []string{"testdata/server.cjs", "testdata/server.mjs"} {
		s := start(t, script)
		idle := make(map[string]*conn)
		for _, way := range s.ways {
			idle[way] = s.dial(t)
			resp, err := idle[way].get("/implicit")
			if err != nil || resp.Close {
				t.Fatalf("%s: connection closed before the drain, %v", script, err)
			}
		}
		s.drain(t)
		for _, way := range s.ways {
			resp, err := idle[way].get(way)
			if err != nil {
				t.Errorf("%s %s: %v", script, way, err)
				continue
			}
			if got := resp.Header.Values("Connection"); !resp.Close || len(got) > 1 {
				t.Errorf("%s %s: Close %v, Connection %q; want Connection: close", script, way, resp.Close, got)
			}
			if strings.Contains("/object /both /flat /plain-flat", way) && resp.Header.Get("X-Way") != "kept" {
				t.Errorf("%s %s: the header of the program is missing: %v", script, way, resp.Header)
			}
			if _, err := idle[way].r.ReadByte(); err != io.EOF {
				t.Errorf("%s %s: the connection stays open: %v", script, way, err)
			}
		}
	}
}

// TestOutside: the process has the file of the script open once. SIGTERM still ends the process.
func TestOutside(t *testing.T) {
	s := start(t, "testdata/server.cjs")
	links, err := filepath.Glob("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	marks := 0
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && filepath.Base(target) == nodepreload.FileName {
			marks++
		}
	}
	if marks != 1 {
		t.Errorf("the process has the script open %d times, want 1 (not in worker threads)", marks)
	}
	s.drain(t)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.cmd.Wait()
	if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("the program ended with %v, want SIGTERM", s.cmd.ProcessState)
	}
}
