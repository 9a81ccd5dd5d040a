//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab/load"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// killCount counts the workers that a test has killed, and the connections that they had.
type killCount struct {
	mu sync.Mutex
	// kills is the number of killed processes. held is the number of connections that they had accepted at that moment. The
	// requests on these connections are lost with any supervisor, but no other request may be lost.
	kills, held int
	dead        map[uint32]bool
}

// runsAgain reports whether a unit runs with a process that was not killed. For a moment after a kill, systemd still
// reports the killed process.
func (k *killCount) runsAgain(s kit.Status) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return s.IsActive() && s.PID != 0 && !k.dead[s.PID]
}

// kill sends SIGKILL to a worker of the machine, and counts its connections. While it counts, the worker is stopped, so
// that it cannot accept or answer anything.
func (k *killCount) kill(t testing.TB, m *kit.Machine, pid int) error {
	host := m.HostPID(t, pid)
	if err := unix.Kill(host, unix.SIGSTOP); err != nil {
		return err
	}
	held, err := heldConnections(host)
	if kerr := unix.Kill(host, unix.SIGKILL); kerr != nil || err != nil {
		return errors.Join(err, kerr)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kills++
	k.held += held
	if k.dead == nil {
		k.dead = make(map[uint32]bool)
	}
	k.dead[uint32(pid)] = true
	return nil
}

// heldConnections returns the number of connections of a process that is being stopped: its sockets that are neither Unix
// sockets nor the listener.
func heldConnections(pid int) (int, error) {
	proc := fmt.Sprintf("/proc/%d", pid)
	// Only the parent of a process is notified of the stop, so this polls. A stop takes microseconds, so the timeout is
	// never reached.
	for end := time.Now().Add(patience.For(time.Minute)); !stopped(proc); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			return 0, fmt.Errorf("process %d does not stop", pid)
		}
	}
	unixSockets, err := os.ReadFile(proc + "/net/unix")
	if err != nil {
		return 0, err
	}
	others := make(map[string]bool)
	for line := range strings.Lines(string(unixSockets)) {
		if f := strings.Fields(line); len(f) > 6 {
			others["socket:["+f[6]+"]"] = true
		}
	}
	fds, err := filepath.Glob(proc + "/fd/*")
	if err != nil {
		return 0, err
	}
	held := 0
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:") && !others[link] {
			others[link] = true // a socket with two descriptors counts once
			held++
		}
	}
	return max(held-1, 0), nil // without the listener, which a worker may lack just after its start
}

// stopped reports whether a process has ended or all its threads are stopped.
func stopped(proc string) bool {
	tasks, _ := filepath.Glob(proc + "/task/*/stat")
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		// proc_pid_stat(5): the state follows the name, which is in parentheses.
		s := string(b)
		if f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:]); f[0] != "T" && f[0] != "Z" && f[0] != "X" {
			return false
		}
	}
	return true
}

// crashLoop kills some units again and again, each time systemd reports that they are ready.
type crashLoop struct {
	killCount
	cancel context.CancelFunc
	done   chan struct{}
}

// killAtReady starts a crash loop.
func killAtReady(t testing.TB, b *kit.Bus, m *kit.Machine, units ...string) *crashLoop {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	k := &crashLoop{cancel: cancel, done: make(chan struct{})}
	changes := b.Watch(t, units...)
	go func() {
		defer close(k.done)
		killed := make(map[uint32]bool)
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-changes:
				if !s.IsActive() || s.PID == 0 || killed[s.PID] {
					continue
				}
				killed[s.PID] = true
				if err := k.kill(t, m, int(s.PID)); err != nil {
					t.Errorf("killing %s (%d): %v", s.Unit, s.PID, err)
				}
			}
		}
	}()
	t.Cleanup(k.stop)
	return k
}

func (k *crashLoop) stop() {
	k.cancel()
	<-k.done
}

// killRandomly kills a random active unit at n random moments within a duration. If no unit is active, it kills the next
// one that becomes active.
func killRandomly(t testing.TB, b *kit.Bus, m *kit.Machine, n int, within time.Duration, units ...string) *killCount {
	t.Helper()
	k := new(killCount)
	ctx, cancel := patience.WithTimeout(t.Context(), within+kit.EventTimeout)
	defer cancel()
	changes := b.Watch(t, units...)
	last := make(map[string]kit.Status)
	killed := make(map[uint32]bool)
	alive := func() (up []kit.Status) {
		for _, u := range units {
			if s := last[u]; s.IsActive() && s.PID != 0 && !killed[s.PID] {
				up = append(up, s)
			}
		}
		return up
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for due := 0; k.kills < n; {
		select {
		case s := <-changes:
			last[s.Unit] = s
		case <-next.C:
			due++
			next.Reset(rand.N(2 * within / time.Duration(n)))
		case <-ctx.Done():
			t.Fatalf("only %d of %d kills, because the units do not come back: %v", k.kills, n, last)
		}
		if up := alive(); k.kills < due && len(up) > 0 {
			victim := up[rand.IntN(len(up))]
			killed[victim.PID] = true
			if err := k.kill(t, m, int(victim.PID)); err != nil {
				t.Errorf("killing %s (%d): %v", victim.Unit, victim.PID, err)
			}
		}
	}
	return k
}

// wantOnlyHeldLost fails the test when requests were lost that were not on connections of killed workers.
func (k *killCount) wantOnlyHeldLost(t testing.TB, r load.Report) {
	t.Helper()
	t.Logf("%d kills of workers with %d connections: %v", k.kills, k.held, r)
	if other := r.Failed() - r.Broken(); other > 0 {
		t.Errorf("%d requests failed that no worker had accepted", other)
	}
	if r.Broken() > k.held {
		t.Errorf("%d requests were broken, but the killed workers held only %d", r.Broken(), k.held)
	}
	if k.kills == 0 || r.OK == 0 {
		t.Error("no worker was killed or no request was answered")
	}
}

// wantAtMostOne fails the test when a kill has broken more than one request of a client that sends one request after the
// other. That would happen if the request after a lost one were refused.
func (k *killCount) wantAtMostOne(t testing.TB, r load.Report) {
	t.Helper()
	t.Logf("one sequential client: %v", r)
	if err := r.AfterKills(k.kills); err != nil {
		t.Error(err)
	}
}
