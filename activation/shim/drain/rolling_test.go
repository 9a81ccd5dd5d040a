package drain_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/nodepreload"
)

// program is a server that was not written for clusterctl.
type program struct {
	name string
	argv []string
	env  []string
}

func programs(t *testing.T) []program {
	gunicorn := func(args ...string) []string {
		// gunicorn accepts LISTEN_FDS only if LISTEN_PID is its process id.
		argv := []string{"/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh",
			"/usr/bin/python3", "/usr/bin/gunicorn", "--workers=2", "--chdir=testdata", "--log-level=error"}
		return append(append(argv, args...), "wsgi:app")
	}
	preload := "NODE_OPTIONS=--require " + preloadPath(t)
	return []program{
		{"node", []string{"node", "testdata/server.js"}, nil},
		{"node with preload", []string{"node", "testdata/server.js"}, []string{preload}},
		{"node that exits on SIGTERM", []string{"node", "testdata/server.js"}, []string{preload, "MODE=exit"}},
		{"go", []string{"/proc/self/exe", "serve"}, nil},
		{"go with Shutdown", []string{"/proc/self/exe", "serve", "graceful"}, nil},
		{"asyncio", []string{"/usr/bin/python3", "testdata/httpserver.py"}, []string{"MODE=asyncio"}},
		{"gunicorn gthread", gunicorn("--threads=4"), nil},
		{"nginx", []string{"/usr/sbin/nginx", "-c"}, []string{"NGINX=3;"}},
	}
}

// TestRolling: no request fails while workers restart one after the other, whatever the program does at SIGTERM. The clients
// never retry.
func TestRolling(t *testing.T) {
	const restarts = 6
	for _, p := range programs(t) {
		for _, keepAlive := range []bool{false, true} {
			name := p.name + ", a connection for each request"
			if keepAlive {
				name = p.name + ", keep-alive"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := p.cluster(t)
				workers := []*worker{c.start(), c.start()}
				// Without a pause, a keep-alive connection is never silent, which is the hardest case for the drain. With a
				// new connection for each request, clients without a pause would only take CPU time from the restarts.
				pause := 5 * time.Millisecond
				if keepAlive {
					pause = 0
				}
				l := startLoad(c.addr, "/", 8, keepAlive, pause)
				longest := c.roll(workers, restarts, "--busy=25s")
				l.check(t)
				t.Logf("%d restarts, the longest drain took %v", restarts, longest)
				if log := c.log.String(); log != "" {
					t.Errorf("a drain was incomplete:\n%s", log)
				}
			})
		}
	}
}

// TestSlowRequests: no request fails while workers restart, although each request takes two seconds.
func TestSlowRequests(t *testing.T) {
	for _, p := range programs(t) {
		if p.name == "nginx" {
			continue // the configuration has no slow response
		}
		for _, keepAlive := range []bool{false, true} {
			name := p.name + ", a connection for each request"
			if keepAlive {
				name = p.name + ", keep-alive"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := p.cluster(t)
				workers := []*worker{c.start(), c.start()}
				l := startLoad(c.addr, "/slow", 8, keepAlive, 0)
				c.roll(workers, 3, "--busy=25s")
				l.check(t)
				if log := c.log.String(); log != "" {
					t.Errorf("a drain was incomplete:\n%s", log)
				}
			})
		}
	}
}

// TestWithoutEpoll: the drain of a program that waits in poll does nothing, and prints the reason on one line.
func TestWithoutEpoll(t *testing.T) {
	c := newCluster(t, nil, "/usr/bin/python3", "testdata/httpserver.py")
	w := c.start()
	c.drain(w)
	if log := c.log.String(); !strings.Contains(log, "does not use epoll") || strings.Count(log, "\n") != 1 {
		t.Errorf("log %q, want one line that names epoll", log)
	}
	if err := (&client{addr: c.addr, path: "/"}).request(); err != nil {
		t.Errorf("request after the drain: %v", err)
	}
}

// cluster returns a cluster whose workers run the program.
func (p program) cluster(t *testing.T) *cluster {
	c := newCluster(t, p.env, p.argv...)
	if p.name == "nginx" {
		c.argv = append(c.argv, nginxConf(t, c.addr))
	}
	return c
}

// The method check stops the clients, and fails the test if a request has failed.
func (l *load) check(t *testing.T) {
	t.Helper()
	requests, failures := l.stop()
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed: %q", len(failures), requests, failures[:min(len(failures), 5)])
	}
	if requests == 0 {
		t.Error("the clients made no request")
	}
}

// preloadPath returns the absolute path of the Node preload.
func preloadPath(t *testing.T) string {
	path, err := filepath.Abs("../nodepreload/" + nodepreload.FileName)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func nginxConf(t *testing.T, addr string) string {
	text, err := os.ReadFile("testdata/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	out := strings.NewReplacer("DIR", dir, "ADDR", addr).Replace(string(text))
	if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
