package drain

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/httpclose"
)

// closeDelay is how long the drain waits for idle keep-alive connections to end by themselves.
const closeDelay = time.Second

// requestClose adds Connection: close to the next response on each connection that the client uses again, and after
// closeDelay to the next response on each remaining connection. The drain waits for the end of such a connection, at most
// until Options.Timeout. If the header cannot be added (TLS, HTTP/2, no BPF), the drain waits at most Options.Busy for the
// connection. requestClose gives up after an error, because it would get the same error for every other connection.
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
		if now.Sub(d.start) < closeDelay && (c.hasPreload || !c.wasReused()) {
			continue
		}
		if err := d.addRewriter(ino, c); err != nil && !errors.Is(err, errGone) {
			d.rewriterErr = err
			return
		}
		c.closeRequested = true
	}
}

// checkResult stores the result of a connection, and detaches the BPF program when the result is final.
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
	fd, err := duplicateSocket(ino, 0, d.procs)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	c.key, err = d.rewriter.Add(fd)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBUSY):
		// The connection is no longer established, or has another BPF program (kTLS, a service mesh). Skip this connection.
		return errGone
	case err != nil:
		return fmt.Errorf("adding Connection: close: %w", err)
	}
	c.hasKey, c.checkedAt = true, c.last.Info.Acked
	d.result.CloseRequested++
	return nil
}

// closeRewriter detaches the BPF program from all connections.
func (d *drain) closeRewriter() {
	if d.rewriter != nil {
		d.rewriter.Close()
	}
}
