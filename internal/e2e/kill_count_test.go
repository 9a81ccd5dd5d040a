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

// killCount counts the workers that a test has killed, and the connections that these workers had accepted.
type killCount struct {
	mu sync.Mutex
	// The field kills is the number of killed workers. The field accepted is the sum of the open connections of these
	// workers, each counted immediately before the kill. Only requests on these connections may be lost.
	kills, accepted int
	killed          map[uint32]bool // the PIDs of the killed workers
}

// runsAgain reports whether a unit is active with a main process that the test has not killed. systemd may report the
// killed process for a moment after the kill.
func (k *killCount) runsAgain(s kit.Status) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return s.IsActive() && s.PID != 0 && !k.killed[s.PID]
}

// countAndKill counts the connections of a worker, and kills the worker with SIGKILL. Before the count, it stops the
// worker with SIGSTOP, so that the number of connections cannot change.
func (k *killCount) countAndKill(t testing.TB, m *kit.Machine, pid int) error {
	host := m.HostPID(t, pid)
	if err := unix.Kill(host, unix.SIGSTOP); err != nil {
		return err
	}
	accepted, err := acceptedConnections(host)
	if kerr := unix.Kill(host, unix.SIGKILL); kerr != nil || err != nil {
		return errors.Join(err, kerr)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kills++
	k.accepted += accepted
	if k.killed == nil {
		k.killed = make(map[uint32]bool)
	}
	k.killed[uint32(pid)] = true
	return nil
}

// acceptedConnections waits until a process with a pending SIGSTOP is stopped, and returns the number of its connections.
// All sockets of the process except Unix sockets and one listener count as connections.
func acceptedConnections(pid int) (int, error) {
	proc := fmt.Sprintf("/proc/%d", pid)
	// The loop polls, because the kernel notifies only the parent of a stopped process. A stop takes microseconds.
	for end := time.Now().Add(patience.For(time.Minute)); !allStopped(proc); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			return 0, fmt.Errorf("process %d does not stop after SIGSTOP", pid)
		}
	}
	unixSockets, err := os.ReadFile(proc + "/net/unix")
	if err != nil {
		return 0, err
	}
	ignored := make(map[string]bool)
	for line := range strings.Lines(string(unixSockets)) {
		if f := strings.Fields(line); len(f) > 6 {
			ignored["socket:["+f[6]+"]"] = true
		}
	}
	fds, err := filepath.Glob(proc + "/fd/*")
	if err != nil {
		return 0, err
	}
	sockets := 0
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:") && !ignored[link] {
			ignored[link] = true // count a socket with two descriptors once
			sockets++
		}
	}
	return max(sockets-1, 0), nil // one socket is the listener; a worker that is starting may have no socket
}

// allStopped reports whether all threads of a process are stopped or have ended. The parameter proc is the
// directory of the process in /proc.
func allStopped(proc string) bool {
	tasks, _ := filepath.Glob(proc + "/task/*/stat")
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		// The state follows the name, which is in parentheses (proc_pid_stat(5)).
		s := string(b)
		if f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:]); f[0] != "T" && f[0] != "Z" && f[0] != "X" {
			return false
		}
	}
	return true
}

// A crashLoop kills the main process of a unit each time systemd reports that the unit is active.
type crashLoop struct {
	killCount
	cancel context.CancelFunc
	done   chan struct{}
}

// killAtReady starts a crash loop of the units, which runs until the method stop is called or the test ends.
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
				if err := k.countAndKill(t, m, int(s.PID)); err != nil {
					t.Errorf("killing %s (%d): %v", s.Unit, s.PID, err)
				}
			}
		}
	}()
	t.Cleanup(k.stop)
	return k
}

// The method stop ends the crash loop, and waits until the goroutine of the crash loop has ended.
func (k *crashLoop) stop() {
	k.cancel()
	<-k.done
}

// killRandomly kills a random active unit at n random moments within a duration. If no unit is active at such a moment,
// killRandomly kills the next unit that becomes active.
func killRandomly(t testing.TB, b *kit.Bus, m *kit.Machine, n int, within time.Duration, units ...string) *killCount {
	t.Helper()
	k := new(killCount)
	ctx, cancel := patience.WithTimeout(t.Context(), within+kit.EventTimeout)
	defer cancel()
	changes := b.Watch(t, units...)
	last := make(map[string]kit.Status)
	killed := make(map[uint32]bool)
	activeUnits := func() (active []kit.Status) {
		for _, u := range units {
			if s := last[u]; s.IsActive() && s.PID != 0 && !killed[s.PID] {
				active = append(active, s)
			}
		}
		return active
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
			t.Fatalf("timeout after %d of %d kills, because no unit became active again: %v", k.kills, n, last)
		}
		if active := activeUnits(); k.kills < due && len(active) > 0 {
			victim := active[rand.IntN(len(active))]
			killed[victim.PID] = true
			if err := k.countAndKill(t, m, int(victim.PID)); err != nil {
				t.Errorf("killing %s (%d): %v", victim.Unit, victim.PID, err)
			}
		}
	}
	return k
}

// wantOnlyAcceptedLost fails the test if more requests were lost than the killed workers had accepted. The test also
// fails if no worker was killed, or if no request was answered.
func (k *killCount) wantOnlyAcceptedLost(t testing.TB, r load.Report) {
	t.Helper()
	t.Logf("the %d killed workers had %d connections: %v", k.kills, k.accepted, r)
	if other := r.Failed() - r.Broken(); other > 0 {
		t.Errorf("%d requests failed before a worker accepted them, want 0", other)
	}
	if r.Broken() > k.accepted {
		t.Errorf("%d accepted requests failed, but the killed workers had only %d connections", r.Broken(), k.accepted)
	}
	if k.kills == 0 || r.OK == 0 {
		t.Errorf("%d workers were killed and %d requests were answered, want at least 1 of each", k.kills, r.OK)
	}
}

// wantAtMostOne fails the test if a client that sends its requests one after another has lost more than one request per
// kill. After a lost request, the client connects again. If this connection were refused, the client would lose a second
// request.
func (k *killCount) wantAtMostOne(t testing.TB, r load.Report) {
	t.Helper()
	t.Logf("the client that sends its requests one after another: %v", r)
	if err := r.AfterKills(k.kills); err != nil {
		t.Error(err)
	}
}
