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
	// costFactor limits the CPU time of the drain: after a check, the drain waits costFactor times as long as the check
	// took, at most maxCostInterval. With large tables of sockets or files, a check takes long.
	costFactor      = 10
	maxCostInterval = 200 * time.Millisecond
	// maxSleepWait is how long the drain waits until all threads sleep at the same time, when all connections are done. In a
	// program that computes in the background, this may never happen.
	maxSleepWait = 250 * time.Millisecond
)

// The method wait returns when the connections are done or a time limit is reached.
//
// wait polls because the kernel has no suitable event: sock_diag reports the end of a socket (SKNLGRP_INET_TCP_DESTROY), but
// not a sent response, the silence after it, or a new connection. The interval between two checks grows up to 20 ms, or more
// if a check takes long. Between two checks, wait polls the pidfd of the main process, so it returns at once when the main
// process ends.
func (d *drain) wait(ctx context.Context) error {
	interval := minInterval
	for {
		began := time.Now()
		u, err := d.check(ctx, began)
		if err != nil {
			return err
		}
		cost := time.Since(began)
		if d.mustEnd(u, began) {
			d.result.Open = u.open()
			return nil
		}
		d.requestClose(began)
		d.result.Left, d.result.Streams = len(u.conns), len(u.streams)
		if ctx.Err() != nil {
			d.result.Reason, d.result.Open = timeoutReason(u), u.open()
			return nil
		}
		if ended, _ := EndsWithin(d.main, max(interval, min(costFactor*cost, maxCostInterval))); ended {
			d.result.Reason, d.result.Left = "the main process ended during the drain", 0
			return nil
		}
		interval = min(2*interval, maxInterval)
	}
}

// unfinishedConns holds the connections that are not done at one time.
type unfinishedConns struct {
	conns   []socket // connections without the streams
	streams []socket // see isStream
	busy    int      // number of conns in state busy
	reused  int      // number of conns that get new requests again and again
}

// The method open returns all connections, with the oldest request first.
func (u unfinishedConns) open() []left.Connection {
	var list []left.Connection
	for _, s := range slices.Concat(u.conns, u.streams) {
		c := left.Connection{Peer: s.PeerAddress()}
		if s.Port != 0 {
			c.Request = time.Duration(s.Info.RecvAge) * time.Millisecond
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b left.Connection) int {
		return cmp.Or(-cmp.Compare(a.Request, b.Request), strings.Compare(a.Peer, b.Peer))
	})
	return list
}

// The method check reads all connections, and returns the connections that are not done. The program may have added a
// listener to epoll again, so check also calls stopAccepting.
func (d *drain) check(ctx context.Context, now time.Time) (unfinishedConns, error) {
	var all []socket
	for _, l := range d.listeners() {
		list, err := d.diag.Connections(l, true)
		if err != nil {
			return unfinishedConns{}, err
		}
		all = append(all, list...)
	}
	if d.tracker.hasUnknownOwner(all) || now.Sub(d.tracker.filesReadAt) >= maxInterval {
		if err := d.readProcesses(); err != nil {
			return unfinishedConns{}, err
		}
		if err := d.stopAccepting(ctx); err != nil {
			return unfinishedConns{}, err
		}
		d.tracker.updateOwners(all, d.procs, now)
	}
	return d.tracker.update(all, d.opt, now), nil
}

// listeners returns one shared listener for each address family and port, and one for each name of a Unix socket.
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

// mustEnd reports whether the drain must stop waiting. If connections are still in use, it records the
// reason.
func (d *drain) mustEnd(u unfinishedConns, now time.Time) bool {
	d.result.Reason = ""
	if len(u.conns) == 0 {
		d.result.Left, d.result.Streams = 0, len(u.streams)
		if len(u.streams) > 0 {
			d.result.Reason = fmt.Sprintf("not waiting for the streams of %s, which have had no new request for %v",
				peers(u.streams), d.opt.StreamAge)
		}
		return d.acceptsDone(now)
	}
	d.tracker.doneSince = time.Time{}
	if u.reused < len(u.conns) {
		d.tracker.allReusedSince = time.Time{}
		return false
	}
	if d.tracker.allReusedSince.IsZero() {
		d.tracker.allReusedSince = now
	}
	// Most clients pause between requests. If a connection is busy, wait twice as long, because a pause of the client
	// will probably follow.
	limit := d.opt.Busy
	if u.busy > 0 {
		limit *= 2
	}
	if now.Sub(d.tracker.allReusedSince) < limit {
		return false
	}
	d.result.Left = len(u.conns)
	d.result.Reason = "keep-alive connections are still in use: " + peers(u.conns)
	if d.rewriterErr != nil {
		d.result.Reason += fmt.Sprintf(" (%v)", d.rewriterErr)
	}
	return true
}

// timeoutReason returns the reason why the drain has reached its time limit.
func timeoutReason(u unfinishedConns) string {
	if u.busy == 0 && u.reused == 0 && len(u.conns) > 0 {
		return "time is up; the last response may not be complete on the connections of " + peers(u.conns)
	}
	return "time is up"
}

// peers returns the addresses of at most three peers, and the number of the other peers, as text.
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

// acceptsDone returns true when no thread can still accept a connection. The result is true if, after the last removal of
// a listener, all threads have slept at the same time, or the awake threads have run for long enough, and one more check
// has then found no new connection.
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
		d.tracker.cpuAtDone = cpuUsages(pids)
	}
	if asleep(pids) || now.Sub(d.tracker.doneSince) >= maxSleepWait && allHaveRun(pids, d.tracker.cpuAtDone) {
		d.tracker.acceptsDone = true
		d.tracker.filesReadAt = time.Time{} // so that the next check reads the files of the processes again
	}
	return false
}
