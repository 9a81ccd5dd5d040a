//go:build linux

package activation

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// A load runs clients that never repeat a request. The load counts the lost requests and stores
// the errors of the first ten.
type load struct {
	addr    string
	stop    atomic.Bool
	clients sync.WaitGroup
	sent    [3]atomic.Int64 // number of requests by kind of client
	lost    atomic.Int64
	losses  chan string
}

const (
	keepAlive = iota // sends one request after another on one connection
	pausing          // pauses between its requests
	fresh            // opens a new connection for each request
)

func startLoad(addr string, each int) *load {
	l := &load{addr: addr, losses: make(chan string, 10)}
	for kind := range l.sent {
		for range each {
			l.clients.Go(func() { l.client(kind) })
		}
	}
	return l
}

func (l *load) client(kind int) {
	var c *client
	for !l.stop.Load() {
		var err error
		opened := c == nil
		if opened {
			c, err = dial(l.addr)
		}
		var closes bool
		if err == nil {
			closes, err = c.request(kind)
		}
		l.sent[kind].Add(1)
		if err != nil {
			l.lost.Add(1)
			select {
			case l.losses <- fmt.Sprintf("client of kind %d, new connection %v: %v", kind, opened, err):
			default:
			}
		}
		if c != nil && (err != nil || closes || kind == fresh) {
			c.conn.Close()
			c = nil
		}
		if kind == pausing {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		}
	}
	if c != nil {
		c.conn.Close()
	}
}

func (c *client) request(kind int) (closes bool, err error) {
	c.conn.SetDeadline(time.Now().Add(patience.For(bound)))
	if kind == fresh && rand.IntN(2) == 0 {
		// Browsers, and clients on a slow network, send the request some time after they have
		// opened the connection.
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
	if err := c.send(get); err != nil {
		return false, err
	}
	return c.answer()
}

// The method finish stops the clients, and fails the test if requests were lost.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop.Store(true)
	l.clients.Wait()
	for kind := range l.sent {
		if l.sent[kind].Load() == 0 {
			t.Errorf("no request of kind %d was sent", kind)
		}
	}
	t.Logf("requests: %d keep-alive, %d pausing, %d on new connections",
		l.sent[keepAlive].Load(), l.sent[pausing].Load(), l.sent[fresh].Load())
	if n := l.lost.Load(); n > 0 {
		t.Errorf("%d requests were lost", n)
		for range min(n, int64(cap(l.losses))) {
			t.Log(<-l.losses)
		}
	}
}

// TestRollingRestart restarts three workers on one socket one after another, fifty times, while
// clients send requests and never repeat a request. No request may be lost.
func TestRollingRestart(t *testing.T) {
	l := listenTCP(t)
	shared := []*os.File{share(t, l)}
	var workers [3]*worker
	for i := range workers {
		workers[i] = startWorker(t, "worker", shared)
		workers[i].expect(t, "READY=1")
	}
	clients := startLoad(l.Addr().String(), 4)
	for i := range 50 {
		w := &workers[i%len(workers)]
		(*w).signal(t, syscall.SIGTERM)
		if status := (*w).exit(t); status != 0 {
			t.Fatalf("restart %d: exit status %d: %s", i, status, (*w).stderr)
		}
		*w = startWorker(t, "worker", shared)
		(*w).expect(t, "READY=1")
		if !isNonblocking(t, (*w).cmd.Process.Pid, 3) {
			t.Fatalf("restart %d: O_NONBLOCK is not set on the shared socket", i)
		}
	}
	clients.finish(t)
	for _, w := range workers {
		w.signal(t, syscall.SIGTERM)
	}
	for _, w := range workers {
		if status := w.exit(t); status != 0 {
			t.Errorf("exit status %d: %s", status, w.stderr)
		}
	}
}
