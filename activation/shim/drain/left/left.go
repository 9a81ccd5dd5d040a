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
)

const magic = "clusterctl-left 1\n"

// Most is how many connections a report names.
const Most = 20

// maxFile is more than Encode ever writes.
const maxFile = 4096

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
	fd, err := unix.Open(instance+contract.LeftSuffix, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Report{}, false
	}
	defer unix.Close(fd)
	var b [maxFile]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return Report{}, false
	}
	return Decode(b[:n])
}

// Save replaces the report of an instance, or removes it where no connection is left.
func Save(instance string, r Report) error {
	name := instance + contract.LeftSuffix
	temp := name + contract.NewSuffix
	_ = unix.Unlink(temp)
	if r.Count == 0 {
		if err := unix.Unlink(name); err != nil && err != unix.ENOENT {
			return errors.New("removing " + name + ": " + err.Error())
		}
		return nil
	}
	fd, err := unix.Open(temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return errors.New("writing " + temp + ": " + err.Error())
	}
	_, err = unix.Write(fd, r.Encode())
	err = errors.Join(err, unix.Close(fd))
	if err == nil {
		err = unix.Rename(temp, name)
	}
	if err != nil {
		return errors.New("writing " + name + ": " + err.Error())
	}
	return nil
}
