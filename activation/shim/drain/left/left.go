// Package left stores which connections of an instance were still in use at the end of its drain, so that clusterctl can
// show them. After the drain systemd sends the stop signal, and most programs then close these connections.
//
// The report of an instance is a small file beside the state of the backoff, "/run/clusterctl/APP/N.left". Only root can
// write to the file. The next drain of the instance replaces or removes the file.
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

// MaxConnections is the maximum number of connections that a report lists.
const MaxConnections = 20

// Report describes the connections that were still in use at the end of a drain.
type Report struct {
	// Waited is how long the drain took.
	Waited time.Duration
	// Count is the number of connections. Connections lists at most MaxConnections of the connections.
	Count       int
	Connections []Connection
}

// Connection is a connection that is still in use.
type Connection struct {
	// Peer is the address of the peer, or empty for a Unix socket.
	Peer string
	// Request is the age of the last request: the time since the peer last sent data.
	Request time.Duration
}

// Encode returns the report as text, with one KEY=VALUE on each line.
func (r Report) Encode() []byte {
	b := fmt.Appendf(nil, "%swaited=%d\ncount=%d\n", magic, r.Waited, r.Count)
	for _, c := range r.Connections[:min(len(r.Connections), MaxConnections)] {
		b = fmt.Appendf(b, "connection=%d %s\n", c.Request, c.Peer)
	}
	return append(b, "end\n"...)
}

// Decode returns the report in a text of Encode. ok is false for any other text.
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

// Load returns the report of an instance. ok is false if the instance has no valid report.
func Load(instance string) (r Report, ok bool) {
	return Decode(statefile.Read(instance + contract.LeftSuffix))
}

// Save replaces the report of an instance. If the report has no connections, Save removes the file.
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
