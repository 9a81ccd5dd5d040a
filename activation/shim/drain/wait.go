package drain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

const (
	minInterval = 2 * time.Millisecond
	maxInterval = 20 * time.Millisecond
	// maxShare bounds what looking costs: at most one part in maxShare of a CPU, on
	// hosts where a dump takes long (large tables of sockets or of files).
	maxShare       = 10
	costlyInterval = 200 * time.Millisecond
	// maxSleepWait is how long to wait at least for the instance to be asleep at one
	// instant when its connections are done already; a program that computes in the
	// background never is.
	maxSleepWait = 250 * time.Millisecond
)

// wait returns when the connections are done or a bound is reached.
//
// It looks again and again because nothing tells: sock_diag announces the end of
// a socket (SKNLGRP_INET_TCP_DESTROY), but neither an answer sent nor the
// silence after it, and a connection accepted late announces itself nowhere. The
// interval grows to 20 ms, and with the cost of one look. The end of the main
// process is an event, and is what it sleeps on.
func (d *drain) wait(ctx context.Context) error {
	interval := minInterval
	for {
		began := time.Now()
		verdict, err := d.sample(ctx, began)
		if err != nil {
			return err
		}
		cost := time.Since(began)
		if verdict.finished(d, began) {
			d.result.Open = verdict.open()
			return nil
		}
		d.requestClose(began)
		d.result.Left, d.result.Streams = len(verdict.left), len(verdict.streams)
		if ctx.Err() != nil {
			d.result.Reason, d.result.Open = d.late(verdict), verdict.open()
			return nil
		}
		if d.mainEnds(max(interval, min(maxShare*cost, costlyInterval))) {
			d.result.Reason, d.result.Left = "the main process ended by itself", 0
			return nil
		}
		interval = min(2*interval, maxInterval)
	}
}

// mainEnds sleeps for at most t and reports whether the main process ended.
func (d *drain) mainEnds(t time.Duration) bool {
	timeout := unix.NsecToTimespec(t.Nanoseconds())
	n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(d.main), Events: unix.POLLIN}}, &timeout, nil)
	return err == nil && n > 0
}

// sampled is the state of all connections at one instant.
type sampled struct {
	left    []socket // not done
	streams []socket // sent to without an end in sight, see stream; not of those left
	busy    int      // of those left, with a request that is not answered
	reused  int      // of those left, in use again and again
}

// open returns the connections that are in use, the oldest request first.
func (s sampled) open() []left.Connection {
	var list []left.Connection
	for _, c := range slices.Concat(s.left, s.streams) {
		one := left.Connection{Peer: c.PeerAddress()}
		if c.Port != 0 {
			one.Request = time.Duration(c.Info.RecvAge) * time.Millisecond
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b left.Connection) int {
		return cmp.Or(-cmp.Compare(a.Request, b.Request), strings.Compare(a.Peer, b.Peer))
	})
	return list
}

// sample looks at the connections once, and keeps the listeners held.
func (d *drain) sample(ctx context.Context, now time.Time) (sampled, error) {
	var all []socket
	for _, l := range d.listeners() {
		list, err := d.diag.Connections(l, true)
		if err != nil {
			return sampled{}, err
		}
		all = append(all, list...)
	}
	if d.tracker.hasUnknown(all) || now.Sub(d.tracker.looked) >= maxInterval {
		if err := d.refresh(); err != nil {
			return sampled{}, err
		}
		if err := d.hold(ctx); err != nil {
			return sampled{}, err
		}
		d.tracker.learn(all, d.procs, now)
	}
	return d.tracker.judge(all, d.opt, now), nil
}

// listeners returns one listener per address family and port, or per name.
func (d *drain) listeners() []socket {
	type key struct {
		family uint8
		port   uint16
		name   string
	}
	seen := make(map[key]bool)
	var list []socket
	for _, s := range d.shared {
		k := key{s.Family, s.Port, s.Name}
		if !seen[k] {
			seen[k] = true
			list = append(list, s)
		}
	}
	return list
}

// finished reports whether to stop waiting, and notes why if it is too early.
func (s sampled) finished(d *drain, now time.Time) bool {
	d.result.Reason = ""
	if len(s.left) == 0 {
		d.result.Left, d.result.Streams = 0, len(s.streams)
		if len(s.streams) > 0 {
			d.result.Reason = fmt.Sprintf("left to the program's own stop: %s, sent to for %v without a new request",
				peers(s.streams), d.opt.Stream)
		}
		return d.acceptsDone(now)
	}
	d.tracker.doneSince = time.Time{}
	if s.reused < len(s.left) {
		d.tracker.allReusedSince = time.Time{}
		return false
	}
	if d.tracker.allReusedSince.IsZero() {
		d.tracker.allReusedSince = now
	}
	// Then an instant at which all of them happen to be answered is best: most
	// clients pause between requests.
	bound := d.opt.Busy
	if s.busy > 0 {
		bound *= 2
	}
	if now.Sub(d.tracker.allReusedSince) < bound {
		return false
	}
	d.result.Left = len(s.left)
	d.result.Reason = fmt.Sprintf("keep-alive connections stay in use, left to the program's own stop: %s", peers(s.left))
	if d.rewriterErr != nil {
		d.result.Reason += fmt.Sprintf(" (%v)", d.rewriterErr)
	}
	return true
}

// late says why the time was not enough.
func (d *drain) late(s sampled) string {
	if s.busy == 0 && s.reused == 0 && len(s.left) > 0 {
		return fmt.Sprintf("time is up, for what may have been a pause within an answer: %s", peers(s.left))
	}
	return "time is up"
}

// peers names the peers of connections, as many as fit into a line.
func peers(list []socket) string {
	const most = 3
	var names []string
	for i := range list {
		name := list[i].PeerAddress()
		if name == "" {
			name = "a unix socket"
		}
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// acceptsDone reports whether no accept can still be under way: since the last
// removal all threads have been asleep at one instant, or those that were not have
// come a good way, and the look after that instant found no connection either.
func (d *drain) acceptsDone(now time.Time) bool {
	if d.tracker.acceptsDone {
		return true
	}
	pids := make([]int, 0, len(d.procs))
	for _, p := range d.procs {
		pids = append(pids, p.pid)
	}
	if d.tracker.doneSince.IsZero() {
		d.tracker.doneSince = now
		d.tracker.ran = ranSoFar(pids)
	}
	if asleep(pids) || now.Sub(d.tracker.doneSince) >= maxSleepWait && movedOn(pids, d.tracker.ran) {
		d.tracker.acceptsDone = true
		d.tracker.looked = time.Time{} // look at the files once more
	}
	return false
}
