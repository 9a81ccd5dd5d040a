package drain

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
)

// patience is how long a connection that is not in use all the time may take to
// end by itself before the server is made to say Connection: close on it.
const patience = time.Second

// speak makes the server say Connection: close on the connections that will not
// end by themselves: those used again since the drain began, and after patience
// all that are left. These have until Options.Timeout to come to their end; what
// stays without it (TLS, HTTP/2, no BPF) is waited for as long as Options.Busy says. The first refusal is kept for the log, and the
// last: it would be the same for each.
func (d *drain) speak(now time.Time) {
	if !d.opt.HTTPClose || d.refused != nil {
		return
	}
	for ino, c := range d.book.conns {
		if c.spoken {
			d.heed(c)
			continue
		}
		if c.done || c.last.Port == 0 {
			continue
		}
		if now.Sub(d.start) < patience && (c.polite || !c.turning()) {
			continue
		}
		if err := d.speakOn(ino, c); err != nil && !errors.Is(err, errGone) {
			d.refused = err
			return
		}
		c.spoken = true
	}
}

// heed takes the program off a connection on which the word has been said, and notes where it cannot be said.
func (d *drain) heed(c *conn) {
	if !c.keyed || c.word != httpclose.Unsaid || c.heeded == c.last.Info.Acked {
		return
	}
	c.heeded = c.last.Info.Acked
	word, err := d.speaker.Word(c.key)
	if err != nil {
		return
	}
	c.word = word
	if word != httpclose.Unsaid {
		_ = d.speaker.Remove(c.key)
	}
}

func (d *drain) speakOn(ino uint64, c *conn) error {
	if d.speaker == nil {
		s, err := httpclose.New()
		if err != nil {
			return err
		}
		d.speaker = s
	}
	fd, err := takeSocket(ino, 0, d.procs)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	c.key, err = d.speaker.Add(fd)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBUSY):
		// Not established any more, or in use by another such program (kTLS,
		// a mesh): this one connection goes without.
		return errGone
	case err != nil:
		return fmt.Errorf("saying Connection: close: %w", err)
	}
	c.keyed, c.heeded = true, c.last.Info.Acked
	d.result.Spoken++
	return nil
}

// shutUp takes the program off the connections that are left.
func (d *drain) shutUp() {
	if d.speaker != nil {
		d.speaker.Close()
	}
}
