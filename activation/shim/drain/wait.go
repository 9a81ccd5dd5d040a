package drain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

const (
	minInterval = 2 * time.Millisecond
	maxInterval = 20 * time.Millisecond
	// maxShare limits the cost of looking to one part in maxShare of a CPU. On hosts with large tables of sockets or files a
	// look takes long.
	maxShare       = 10
	costlyInterval = 200 * time.Millisecond
	// maxSleepWait is how long the drain waits for all threads to sleep at the same time once the connections are done. The
	// threads of a program that computes in the background may never do so.
	maxSleepWait = 250 * time.Millisecond
)

// wait returns when the connections are done or a time limit is reached.
//
// It polls because the kernel has no suitable event: sock_diag reports the end of a socket (SKNLGRP_INET_TCP_DESTROY), but
// not that an answer was sent, nor the silence after it, nor a new connection. The interval grows to 20 ms, and with the
// cost of a look. While it sleeps, it waits for the end of the main process, which is an event.
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
			d.result.Reason, d.result.Open = d.timeoutReason(verdict), verdict.open()
			return nil
		}
		if ended, _ := EndsWithin(d.main, max(interval, min(maxShare*cost, costlyInterval))); ended {
			d.result.Reason, d.result.Left = "the main process ended by itself", 0
			return nil
		}
		interval = min(2*interval, maxInterval)
	}
}

// sampled is the state of all connections at one time.
type sampled struct {
	left    []socket // not done
	streams []socket // see stream; they are not in left
	busy    int      // how many in left have an unanswered request
	reused  int      // how many in left are used again and again
}

// open returns the connections that are in use, with the oldest request first.
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

// sample returns the current state of the connections, and keeps new connections away.
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

// finished reports whether to stop waiting, and records the reason if connections are still in use.
func (s sampled) finished(d *drain, now time.Time) bool {
	d.result.Reason = ""
	if len(s.left) == 0 {
		d.result.Left, d.result.Streams = 0, len(s.streams)
		if len(s.streams) > 0 {
			d.result.Reason = fmt.Sprintf("left to the program's own stop: %s, without a new request for %v",
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
	// Prefer a time at which all requests are answered: most clients pause between requests. So wait longer while one is
	// not.
	bound := d.opt.Busy
	if s.busy > 0 {
		bound *= 2
	}
	if now.Sub(d.tracker.allReusedSince) < bound {
		return false
	}
	d.result.Left = len(s.left)
	d.result.Reason = fmt.Sprintf("keep-alive connections are still in use, left to the program's own stop: %s", peers(s.left))
	if d.rewriterErr != nil {
		d.result.Reason += fmt.Sprintf(" (%v)", d.rewriterErr)
	}
	return true
}

// timeoutReason returns the reason why the drain has reached its time limit.
func (d *drain) timeoutReason(s sampled) string {
	if s.busy == 0 && s.reused == 0 && len(s.left) > 0 {
		return fmt.Sprintf("time is up, possibly during a pause within an answer: %s", peers(s.left))
	}
	return "time is up"
}

// peers returns the peers of connections as text, at most three of them.
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

// acceptsDone reports whether no thread can still accept a connection: since the last removal all threads have slept at the
// same time, or the others have run for long enough, and a later look found no new connection.
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
