// Package left stores which connections of an instance were still in use when its drain ended, to show them to the user. The
// stop signal follows, and most programs then close these connections.
//
// They are in a small file beside the state of the backoff, "/run/clusterctl/APP/N.left", to which only root writes. The
// next drain of the instance replaces or removes the file.
package left

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/statefile"
)

const magic = "clusterctl-left 1\n"

// Most is the maximum number of connections in a report.
const Most = 20

// Report describes the connections that a drain has left open.
type Report struct {
	// Waited is how long the drain took.
	Waited time.Duration
	// Count is the number of connections. Connections lists the first of them.
	Count       int
	Connections []Connection
}

// Connection is a connection that is still in use.
type Connection struct {
	// Peer is the address of the peer, or empty for a Unix socket.
	Peer string
	// Request is the time since the peer last sent data, which is the age of its request.
	Request time.Duration
}

// Encode returns the report as text, with one KEY=VALUE on each line.
func (r Report) Encode() []byte {
	b := fmt.Appendf(nil, "%swaited=%d\ncount=%d\n", magic, r.Waited, r.Count)
	for _, c := range r.Connections[:min(len(r.Connections), Most)] {
		b = fmt.Appendf(b, "connection=%d %s\n", c.Request, c.Peer)
	}
	return append(b, "end\n"...)
}

// Decode reads the text of Encode; ok is false for any other text.
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

// Load returns the report of an instance; ok is false if there is none.
func Load(instance string) (r Report, ok bool) {
	return Decode(statefile.Read(instance + contract.LeftSuffix))
}

// Save replaces the report of an instance, or removes it if no connection is left.
func Save(instance string, r Report) error {
	name := instance + contract.LeftSuffix
	if r.Count > 0 {
		return statefile.Replace(name, r.Encode())
	}
	if err := unix.Unlink(name); err != nil && err != unix.ENOENT {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	return nil
}
