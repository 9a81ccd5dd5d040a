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
	// kills counts processes, and held counts the connections that they had accepted at that moment. Those requests are
	// lost under any supervisor; no other request may be lost.
	kills, held int
	dead        map[uint32]bool
}

// runsAgain reports whether a unit runs with a process that was not killed. For a moment after a kill, systemd still reports
// the process that was killed.
func (k *killCount) runsAgain(s kit.Status) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return s.IsActive() && s.PID != 0 && !k.dead[s.PID]
}

// kill sends SIGKILL to a worker of the machine, and counts its connections. The worker is stopped for the count, so that it
// accepts and answers nothing in between.
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

// heldConnections counts the connections of a process that is being stopped: its sockets that are neither Unix sockets
// nor the listener.
func heldConnections(pid int) (int, error) {
	proc := fmt.Sprintf("/proc/%d", pid)
	// A group stop has no event for anyone but the parent. It takes microseconds, and the bound is never met.
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
			others[link] = true // one that has two numbers is one
			held++
		}
	}
	return max(held-1, 0), nil // without the listener, which a worker that has only just been executed may lack
}

// stopped reports whether every thread of a process is stopped, or it has ended.
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

// crashLoop is a crash loop of some units: each is killed when systemd reports that it is ready.
type crashLoop struct {
	killCount
	cancel context.CancelFunc
	done   chan struct{}
}

// killAtReady begins a crash loop.
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

// killRandomly kills a random one of the units that are up, at n random moments of a time. When none is up, the next
// that comes is killed.
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
			t.Fatalf("only %d of %d kills, the units do not come back: %v", k.kills, n, last)
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

// wantOnlyHeldLost fails the test when requests were lost that were not in the killed workers.
func (k *killCount) wantOnlyHeldLost(t testing.TB, r load.Report) {
	t.Helper()
	t.Logf("%d kills of workers with %d connections: %v", k.kills, k.held, r)
	if other := r.Failed() - r.Broken(); other > 0 {
		t.Errorf("%d requests failed that were in no worker", other)
	}
	if r.Broken() > k.held {
		t.Errorf("%d requests broken, and the workers that were killed held only %d", r.Broken(), k.held)
	}
	if k.kills == 0 || r.OK == 0 {
		t.Error("nothing was tested")
	}
}

// wantAtMostOne fails the test when a kill has broken more than one request of a client that sends one after the other,
// as when the request that follows the lost one is refused.
func (k *killCount) wantAtMostOne(t testing.TB, r load.Report) {
	t.Helper()
	t.Logf("one sequential client: %v", r)
	if err := r.AfterKills(k.kills); err != nil {
		t.Error(err)
	}
}
