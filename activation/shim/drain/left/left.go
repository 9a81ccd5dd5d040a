// Package left is what the drain of an instance leaves behind for people: the connections that were still in use when it gave up.
// The stop signal follows, and most programs close them then.
//
// It is one small file of root's beside the state of the backoff, "/run/clusterctl/APP/N.left". The next drain of the instance
// replaces or removes it.
package left

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/statefile"
)

const magic = "clusterctl-left 1\n"

// Most is how many connections a report names.
const Most = 20

// Report is what a drain has left.
type Report struct {
	// Waited is how long the drain took.
	Waited time.Duration
	// Count is how many connections there were, and Connections are the first of them.
	Count       int
	Connections []Connection
}

// Connection is one of them.
type Connection struct {
	// Peer is its address, or empty for a Unix socket.
	Peer string
	// Request is how long ago the peer has sent something.
	Request time.Duration
}

// Encode writes the report as text, one KEY=VALUE a line.
func (r Report) Encode() []byte {
	var b strings.Builder
	b.WriteString(magic)
	b.WriteString("waited=" + strconv.FormatInt(int64(r.Waited), 10) + "\n")
	b.WriteString("count=" + strconv.Itoa(r.Count) + "\n")
	for _, c := range r.Connections[:min(len(r.Connections), Most)] {
		b.WriteString("connection=" + strconv.FormatInt(int64(c.Request), 10) + " " + c.Peer + "\n")
	}
	b.WriteString("end\n")
	return []byte(b.String())
}

// Decode reads what Encode wrote; ok is false for anything else.
func Decode(b []byte) (r Report, ok bool) {
	text, found := strings.CutPrefix(string(b), magic)
	text, end := strings.CutSuffix(text, "end\n")
	if !found || !end {
		return Report{}, false
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		number, peer, _ := strings.Cut(value, " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 {
			return Report{}, false
		}
		switch key {
		case "waited":
			r.Waited = time.Duration(n)
		case "count":
			r.Count = int(n)
		case "connection":
			r.Connections = append(r.Connections, Connection{Peer: peer, Request: time.Duration(n)})
		}
	}
	return r, true
}

// Load reads the report of an instance; ok is false where there is none.
func Load(instance string) (r Report, ok bool) {
	return Decode(statefile.Read(instance + contract.LeftSuffix))
}

// Save replaces the report of an instance, or removes it where no connection is left.
func Save(instance string, r Report) error {
	name := instance + contract.LeftSuffix
	if r.Count > 0 {
		return statefile.Replace(name, r.Encode())
	}
	if err := unix.Unlink(name); err != nil && err != unix.ENOENT {
		return errors.New("removing " + name + ": " + err.Error())
	}
	return nil
}
