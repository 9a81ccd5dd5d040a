package load

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxErrors is how many failures are kept in words.
const maxErrors = 20

// Report counts requests. Each is in exactly one of OK and the kinds of failure.
type Report struct {
	Clients  int // Options.Conns: each has one request on its way at a time
	Requests int // begun
	OK       int // answered completely with a status of 200 to 299

	Refused   int // nobody listened (or no such unix socket)
	Reset     int // the connection was reset, or broken while writing
	EOF       int // it was closed before a complete answer
	Timeouts  int // no complete answer in Options.Timeout
	BadStatus int // answered completely, with another status
	Other     int // anything else: an answer that is not HTTP, no port left to connect from

	Slowest time.Duration // of the OK ones, connecting included
	// Workers counts OK answers by who gave them.
	Workers map[string]int
	// Dials counts connections that were opened, AnnouncedClose those that a
	// response ended with Connection: close in keep-alive mode, IdleClosed those that were
	// replaced because of Options.NoticeClose.
	Dials, AnnouncedClose, IdleClosed int
	// Errors tells the first failures, with the time since the start.
	Errors []string
}

// Failed is the number of requests that did not end well.
func (r Report) Failed() int { return r.Requests - r.OK }

// Broken is the number of requests that were lost on an open connection.
func (r Report) Broken() int { return r.Reset + r.EOF }

// AfterKills returns an error when more requests failed than the death of so many workers explains. A client has one request
// on its way at a time, so a death breaks one request of each client at most. It closes no listener, so no request is refused.
func (r Report) AfterKills(kills int) error {
	if other := r.Failed() - r.Broken(); other > 0 {
		return fmt.Errorf("%d requests failed without a connection to a worker", other)
	}
	if most := r.Clients * kills; r.Broken() > most {
		return fmt.Errorf("%d requests were lost, at most %d may be: one for each of %d clients and %d deaths of workers",
			r.Broken(), most, r.Clients, kills)
	}
	return nil
}

// Summary is the first line of String: what became of all requests.
func (r Report) Summary() string {
	return fmt.Sprintf("%d requests, %d ok, %d failed: %d refused, %d reset, %d eof, %d timeouts, %d bad status, "+
		"%d other; slowest %v, %d connections",
		r.Requests, r.OK, r.Failed(), r.Refused, r.Reset, r.EOF, r.Timeouts, r.BadStatus, r.Other,
		r.Slowest.Round(time.Microsecond), r.Dials)
}

// String shows the whole report, workers sorted by name.
func (r Report) String() string {
	var b strings.Builder
	b.WriteString(r.Summary())
	for _, w := range slices.Sorted(maps.Keys(r.Workers)) {
		fmt.Fprintf(&b, "\n  worker %s: %d", w, r.Workers[w])
	}
	for _, e := range r.Errors {
		b.WriteString("\n  " + e)
	}
	return b.String()
}

func (r Report) clone() Report {
	r.Workers = maps.Clone(r.Workers)
	r.Errors = slices.Clone(r.Errors)
	return r
}

// errBadStatus is the failure of a complete answer.
var errBadStatus = errors.New("bad status")

// errAnswer marks bytes that are no HTTP.
var errAnswer = errors.New("not an HTTP answer")

// count finds the field of a failure. ENOENT and ENOTSOCK come from
// connecting to a unix socket that is not, or no longer, there.
func (r *Report) count(err error) {
	switch {
	case errors.Is(err, errBadStatus):
		r.BadStatus++
	case errors.Is(err, errAnswer):
		r.Other++
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTSOCK):
		r.Refused++
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNABORTED):
		r.Reset++
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.EOF++
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ETIMEDOUT):
		r.Timeouts++
	default:
		r.Other++
	}
}

func (r *Report) fail(at time.Duration, what string, err error) {
	r.count(err)
	if len(r.Errors) < maxErrors {
		r.Errors = append(r.Errors, fmt.Sprintf("%9.3fs %s: %v", at.Seconds(), what, err))
	}
}
