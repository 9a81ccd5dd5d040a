package drain

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
)

// closeDelay is how long a connection that is not in use all the time may take to
// end by itself before its next answer carries Connection: close.
const closeDelay = time.Second

// requestClose adds Connection: close to the next answer of each connection that
// does not end by itself: a connection that has been used again since the drain
// began, and after closeDelay every connection that is left. Such a connection has
// until Options.Timeout to end. Where this is not possible (TLS, HTTP/2, no BPF) the
// drain waits as long as Options.Busy says. After the first error requestClose does
// nothing more: each further connection would fail in the same way.
func (d *drain) requestClose(now time.Time) {
	if !d.opt.HTTPClose || d.rewriterErr != nil {
		return
	}
	for ino, c := range d.tracker.conns {
		if c.closeRequested {
			d.checkResult(c)
			continue
		}
		if c.done || c.last.Port == 0 {
			continue
		}
		if now.Sub(d.start) < closeDelay && (c.hasPreload || !c.reused()) {
			continue
		}
		if err := d.addRewriter(ino, c); err != nil && !errors.Is(err, errGone) {
			d.rewriterErr = err
			return
		}
		c.closeRequested = true
	}
}

// checkResult takes the program off a connection that has a result, and keeps the result.
func (d *drain) checkResult(c *conn) {
	if !c.hasKey || c.closeResult != httpclose.Pending || c.checkedAt == c.last.Info.Acked {
		return
	}
	c.checkedAt = c.last.Info.Acked
	result, err := d.rewriter.Result(c.key)
	if err != nil {
		return
	}
	c.closeResult = result
	if result != httpclose.Pending {
		_ = d.rewriter.Remove(c.key)
	}
}

func (d *drain) addRewriter(ino uint64, c *conn) error {
	if d.rewriter == nil {
		r, err := httpclose.New()
		if err != nil {
			return err
		}
		d.rewriter = r
	}
	fd, err := takeSocket(ino, 0, d.procs)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	c.key, err = d.rewriter.Add(fd)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBUSY):
		// No longer established, or in use by another such program (kTLS,
		// a mesh): this one connection goes without.
		return errGone
	case err != nil:
		return fmt.Errorf("saying Connection: close: %w", err)
	}
	c.hasKey, c.checkedAt = true, c.last.Info.Acked
	d.result.CloseRequested++
	return nil
}

// closeRewriter takes the program off the connections that are left.
func (d *drain) closeRewriter() {
	if d.rewriter != nil {
		d.rewriter.Close()
	}
}
