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

// maxErrors is the number of failures in Report.Errors.
const maxErrors = 20

// Report contains the counts of requests. Each request is counted in OK or in exactly one kind of failure.
type Report struct {
	Clients  int // Options.Conns; each sends one request at a time
	Requests int // all requests
	OK       int // complete response with status 200 to 299

	Refused   int // no listener, or the unix socket does not exist
	Reset     int // the connection was reset, or a write failed
	EOF       int // the connection was closed before the response was complete
	Timeouts  int // no complete response within Options.Timeout
	BadStatus int // complete response with another status
	Other     int // for example a response that is not HTTP, or no free local port

	Slowest time.Duration // the time of the slowest OK request, including the connect
	// Workers counts OK responses by worker.
	Workers map[string]int
	// Dials counts opened connections. AnnouncedClose counts keep-alive connections that were closed after a response with
	// Connection: close. IdleClosed counts connections that were replaced because of Options.NoticeClose.
	Dials, AnnouncedClose, IdleClosed int
	// Errors describes the first failures, with the time since the start of the run.
	Errors []string
}

// Failed returns the number of requests that failed.
func (r Report) Failed() int { return r.Requests - r.OK }

// Broken returns the number of requests that failed because their connection ended.
func (r Report) Broken() int { return r.Reset + r.EOF }

// AfterKills returns an error if the number of failed requests is too high for this number of killed workers. A client sends
// one request at a time, so each killed worker may break one request of each client. The listener stays open, so no
// connection may be refused.
func (r Report) AfterKills(kills int) error {
	if other := r.Failed() - r.Broken(); other > 0 {
		return fmt.Errorf("%d requests failed although their connection did not end", other)
	}
	if most := r.Clients * kills; r.Broken() > most {
		return fmt.Errorf("%d requests were lost, want at most %d: one for each of %d clients and %d killed workers",
			r.Broken(), most, r.Clients, kills)
	}
	return nil
}

// Summary returns the first line of String with the counts.
func (r Report) Summary() string {
	return fmt.Sprintf("%d requests, %d ok, %d failed: %d refused, %d reset, %d eof, %d timeouts, %d bad status, "+
		"%d other; slowest %v, %d connections",
		r.Requests, r.OK, r.Failed(), r.Refused, r.Reset, r.EOF, r.Timeouts, r.BadStatus, r.Other,
		r.Slowest.Round(time.Microsecond), r.Dials)
}

// String returns the whole report, with workers sorted by name.
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

// errBadStatus means a complete response with a status other than 200 to 299.
var errBadStatus = errors.New("bad status")

// errAnswer means that the response is not HTTP.
var errAnswer = errors.New("not an HTTP response")

// The method count increments the counter for an error. connect(2) returns ENOENT or ENOTSOCK if the Unix socket does not
// exist.
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
