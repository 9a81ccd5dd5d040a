package load_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestBounds checks that Duration and Stop end a run, that Stop waits for a request in progress, and that a run does not
// exceed Rate.
func TestBounds(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	l := serve(t, "tcp", "127.0.0.1:0", func(c net.Conn, n int64) {
		if !readRequest(bufio.NewReader(c)) {
			return
		}
		if n == 1 {
			arrived <- struct{}{}
			<-release
		}
		answer(c, "")
	})
	url := "http://" + l.Addr().String()
	slow := load.Start(t, load.Host(), load.Options{URL: url, Conns: 1})
	<-arrived
	go func() { close(release) }()
	if r := slow.Stop(); r.OK < 1 || r.Failed() != 0 {
		t.Errorf("Stop during a request: got %v, want no failure", r)
	}
	if r := load.Start(t, load.Host(), load.Options{URL: url, Conns: 2, Duration: 500 * time.Millisecond}).Wait(); r.Failed() != 0 ||
		r.OK == 0 {
		t.Errorf("a duration of half a second: got %v, want no failure", r)
	}
	// At 50 requests per second, the sixth request is sent after 5/50 s.
	begin := time.Now()
	if r := load.Start(t, load.Host(), load.Options{URL: url, Conns: 4, Requests: 6, Rate: 50}).Wait(); r.OK != 6 ||
		time.Since(begin) < 100*time.Millisecond {
		t.Errorf("6 requests at 50 per second took %v, want 100ms or more: %v", time.Since(begin), r)
	}
}
