// Package load is an HTTP client for proofs: it sends requests into a lab
// machine, or to this host, and never retries. net/http's Transport sends a
// request again when a kept connection turns out to be closed, which hides the very
// error that a test of a rolling restart looks for; here, what was written and
// not completely answered is a failure, and is told apart by kind.
//
//	run := load.Start(t, m, load.Options{URL: "http://127.0.0.1:8080/", Conns: 8, KeepAlive: true})
//	m.Sh(t, "systemctl restart web@1")
//	if r := run.Stop(); r.Failed() > 0 {
//		t.Error(r)
//	}
//
// It runs in the test process: only its sockets are born in the machine's
// network, on a thread that was moved there. So it needs no cleaning up, and it cannot outlive
// the test.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// maxDuration bounds a run that nobody stops.
const maxDuration = 30 * time.Minute

// Options say what to send. Only URL is required.
type Options struct {
	// URL is http://ADDRESS:PORT/PATH with an address in digits (or localhost,
	// for 127.0.0.1), or unix:/run/app.sock, optionally with a path and query for the
	// request behind a second colon: unix:/run/app.sock:/slow?ms=2000.
	URL string
	// Conns is how many requests are on their way at a time; default 8.
	Conns int
	// KeepAlive sends one request after the other on a connection, until a
	// response says Connection: close. Without it each request has its own.
	KeepAlive bool
	// NoticeClose makes a kept connection that the server has closed already,
	// as far as this host knows, be replaced before the next request instead of
	// being written to and counted as a failure. Good clients do this; it is off because
	// they cannot always win the race, and the strict count shows each loss.
	NoticeClose bool
	// Requests and Duration end the run, whichever comes first; 0 is no bound
	// (thirty minutes).
	Requests int
	Duration time.Duration
	// Timeout is for one request, connecting included; default one minute on an idle host (package patience).
	Timeout time.Duration
	// Rate is requests per second, all connections together; 0 is as fast as
	// the answers come.
	Rate int
	// WorkerHeader names the response header that says who answered; default
	// X-Worker. Without it in a response, a body of up to 64 bytes is the name.
	WorkerHeader string
}

// Machine is where the requests go; *lab.Machine is one.
type Machine interface {
	InitPID() int // the process whose network and root directory are the target's
}

// host is the Machine that stands for this host, for URLs that are served by
// the test itself.
type host struct{}

func (host) InitPID() int { return os.Getpid() }

// Host returns the Machine that is this process's own network and files.
func Host() Machine { return host{} }

// Run is load that is being sent.
type Run struct {
	opts    Options
	target  target
	sockets *sockets
	start   time.Time
	limit   context.Context // no request begins after its end
	cancel  context.CancelFunc
	sent    atomic.Int64
	done    chan struct{}

	mu     sync.Mutex
	report Report
}

// Start begins to send. The run ends with the test at the latest.
func Start(t testing.TB, m Machine, o Options) *Run {
	t.Helper()
	r, err := Begin(m, o)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() { r.Stop() })
	return r
}

// Begin is Start for programs that are not tests; the caller calls Stop.
func Begin(m Machine, o Options) (*Run, error) {
	o = o.withDefaults()
	tgt, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s, err := openSockets(m.InitPID(), tgt.domain())
	if err != nil {
		return nil, err
	}
	r := &Run{opts: o, target: tgt, sockets: s, start: time.Now(), done: make(chan struct{})}
	r.report.Clients, r.report.Workers = o.Conns, make(map[string]int)
	r.limit, r.cancel = context.WithTimeout(context.Background(), o.Duration)
	var wg sync.WaitGroup
	for i := range o.Conns {
		wg.Go(func() { (&client{run: r, id: i}).loop() })
	}
	go func() {
		wg.Wait()
		r.cancel()
		s.close()
		close(r.done)
	}()
	return r, nil
}

func (o Options) withDefaults() Options {
	if o.Conns <= 0 {
		o.Conns = 8
	}
	if o.Timeout <= 0 {
		o.Timeout = patience.For(time.Minute)
	}
	if o.Duration <= 0 || o.Duration > maxDuration {
		o.Duration = maxDuration
	}
	if o.WorkerHeader == "" {
		o.WorkerHeader = "X-Worker"
	}
	return o
}

// Stop begins no further request, waits for those on their way, and returns
// the count.
func (r *Run) Stop() Report {
	r.cancel()
	return r.Wait()
}

// Wait waits until the bounds in Options end the run and returns the count.
func (r *Run) Wait() Report {
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.clone()
}

// Snapshot returns the count so far.
func (r *Run) Snapshot() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.clone()
}

// next reserves the number of a request and waits for its turn. It returns
// false when no more are to be sent.
func (r *Run) next() (int64, bool) {
	if r.limit.Err() != nil {
		return 0, false
	}
	n := r.sent.Add(1)
	if r.opts.Requests > 0 && n > int64(r.opts.Requests) {
		return 0, false
	}
	if r.opts.Rate <= 0 {
		return n, true
	}
	turn := time.Until(r.start.Add(time.Duration(n-1) * time.Second / time.Duration(r.opts.Rate)))
	if turn <= 0 {
		return n, true
	}
	timer := time.NewTimer(turn)
	defer timer.Stop()
	select {
	case <-timer.C:
		return n, true
	case <-r.limit.Done():
		return 0, false
	}
}

// target is a parsed URL.
type target struct {
	addr netip.AddrPort // TCP
	path string         // unix socket, as the machine sees it
	host string         // of the Host header
	uri  string         // of the request line
}

func (t target) domain() int {
	switch {
	case t.path != "":
		return unix.AF_UNIX
	case t.addr.Addr().Is4():
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func parseURL(s string) (target, error) {
	if rest, ok := strings.CutPrefix(s, "unix:"); ok {
		path, uri, _ := strings.Cut(rest, ":")
		if !strings.HasPrefix(path, "/") {
			return target{}, fmt.Errorf("%s: the path of a unix socket must be absolute", s)
		}
		if uri == "" {
			uri = "/"
		}
		return target{path: path, host: "localhost", uri: uri}, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return target{}, err
	}
	if u.Scheme != "http" {
		return target{}, fmt.Errorf("%s: want http:// or unix:/", s)
	}
	name, port := u.Hostname(), u.Port()
	if name == "localhost" {
		name = "127.0.0.1"
	}
	if port == "" {
		port = "80"
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return target{}, fmt.Errorf("%s: want an address in digits: %w", s, err)
	}
	var p uint16
	if _, err := fmt.Sscan(port, &p); err != nil || p == 0 {
		return target{}, errors.New(s + ": bad port")
	}
	return target{addr: netip.AddrPortFrom(ip, p), host: u.Host, uri: u.RequestURI()}, nil
}
