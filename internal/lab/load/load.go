// Package load is an HTTP client for tests. The client sends requests to a lab machine or to this host, and never retries.
// The Transport of net/http sends a request again if the kept connection is already closed. Such a retry hides the errors
// that a test of a rolling restart must find. In this package, each request without a complete response is a failure.
// Failures are counted by kind.
//
//	run := load.Start(t, m, load.Options{URL: "http://127.0.0.1:8080/", Conns: 8, KeepAlive: true})
//	m.Sh(t, "systemctl restart web@1")
//	if r := run.Stop(); r.Failed() > 0 {
//		t.Error(r)
//	}
//
// The client runs in the test process, and ends with it. A thread that has entered the network namespace of the machine
// creates the sockets.
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

// maxDuration limits a run without a Duration.
const maxDuration = 30 * time.Minute

// Options configure a run. Only URL is required.
type Options struct {
	// URL is http://ADDRESS:PORT/PATH with a numeric address (or localhost, for 127.0.0.1), or unix:/run/app.sock. The path
	// and query of a request to a unix socket follow a second colon: unix:/run/app.sock:/slow?ms=2000.
	URL string
	// Conns is the number of simultaneous requests; default 8.
	Conns int
	// KeepAlive sends several requests on one connection, until a response has Connection: close. Without KeepAlive, each
	// request has its own connection.
	KeepAlive bool
	// NoticeClose opens a new connection for the next request if the FIN of the server has already arrived. Good clients do
	// this, but the FIN can also arrive after the request was sent. Without NoticeClose, the client sends the request on the
	// closed connection, and the failure is counted.
	NoticeClose bool
	// Requests and Duration limit the run. The first limit that is reached ends the run. 0 means no limit, but a run ends
	// after thirty minutes.
	Requests int
	Duration time.Duration
	// Timeout is the limit for one request, including the connect. The default is one minute on an idle host, and more on a
	// busy host (package patience).
	Timeout time.Duration
	// Rate is the number of requests per second for all connections together. 0 means no limit.
	Rate int
	// WorkerHeader is the response header with the name of the worker; default X-Worker. If a response does not have this
	// header, a body of up to 64 bytes is the name.
	WorkerHeader string
}

// Machine is the target of the requests; *lab.Machine implements it.
type Machine interface {
	InitPID() int // host PID of a process in the machine
}

// host is the Machine of the test process.
type host struct{}

func (host) InitPID() int { return os.Getpid() }

// Host returns a Machine that uses the network and files of this process.
func Host() Machine { return host{} }

// Run is a running client.
type Run struct {
	opts    Options
	target  target
	sockets *sockets
	start   time.Time
	limit   context.Context // after it ends, no request is started
	cancel  context.CancelFunc
	sent    atomic.Int64
	done    chan struct{}

	mu     sync.Mutex
	report Report
}

// Start starts a run. If the run has not ended at the end of the test, it is stopped.
func Start(t testing.TB, m Machine, o Options) *Run {
	t.Helper()
	r, err := Begin(m, o)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() { r.Stop() })
	return r
}

// Begin starts a run like Start, but needs no testing.TB and returns errors. The caller must call Stop.
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

// Stop ends the run: no new request is started. Stop waits for the requests in progress, and returns the report.
func (r *Run) Stop() Report {
	r.cancel()
	return r.Wait()
}

// Wait waits until the limits in Options end the run, and returns the report.
func (r *Run) Wait() Report {
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.clone()
}

// Snapshot returns the report so far.
func (r *Run) Snapshot() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.clone()
}

// nextRequest reserves a request number and waits until Rate permits that request. The method returns false when the run
// must end.
func (r *Run) nextRequest() (int64, bool) {
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
	path string         // path of a unix socket in the machine
	host string         // value of the Host header
	uri  string         // path and query of the request line
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
		return target{}, fmt.Errorf("%s: must begin with http:// or unix:/", s)
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
		return target{}, fmt.Errorf("%s: the address must be numeric: %w", s, err)
	}
	var p uint16
	if _, err := fmt.Sscan(port, &p); err != nil || p == 0 {
		return target{}, errors.New(s + ": invalid port")
	}
	return target{addr: netip.AddrPortFrom(ip, p), host: u.Host, uri: u.RequestURI()}, nil
}
