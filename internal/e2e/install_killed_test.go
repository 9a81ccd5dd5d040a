//go:build lab

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

const silent = "/opt/e2e/never-ready"

// startInstall begins an install that waits for READY=1 forever, and returns when systemd waits.
func startInstall(t testing.TB, m *kit.Machine, name string, port int) *lab.Process {
	t.Helper()
	m.WriteFile(t, silent, "#!/bin/sh\nexec sleep infinity\n", 0o755)
	p := m.Start(t, kit.Ctl, "install", name, "-i", "2", "--listen", fmt.Sprint(port), "--activation", "native",
		"--ready", "notify", "--start-timeout", "10m", "--", silent)
	kit.DialBus(t, m).Await(t, "the instances are starting", func(s kit.Status) bool { return s.Active == "activating" && s.PID != 0 },
		name+"@1.service", name+"@2.service")
	return p
}

// TestInterruptedInstall sends what Ctrl-C, a hang-up and a shutdown send to an install that waits: it takes everything back.
func TestInterruptedInstall(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			p := startInstall(t, m, "interrupted", 8190)
			if err := p.Signal(sig); err != nil {
				t.Fatal(err)
			}
			r := p.Wait()
			if r.Code != interrupted {
				t.Errorf("%v: want exit status %d: %v", sig, interrupted, r)
			}
			wantError(t, r.Stderr, "interrupted")
			wantUntouched(t, m, before)
		}
	})
}

// TestKilledInstall kills clusterctl at twenty random moments of an install, five on each release. The next install, or an
// uninstall, must find its way from whatever is there.
func TestKilledInstall(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		args := []string{kit.Ctl, "install", "killed-at", "-i", "2", "--listen", "8191", "--listen", "/run/killed-at.sock",
			"--activation", "native", "--settle", "100ms", "--", worker}
		a := kit.App{Machine: m, Name: "killed-at", Instances: 2, Port: 8191}
		before := kit.Lines(m.Sh(t, traces))
		start := time.Now()
		m.Must(t, args[1:]...)
		whole := time.Since(start)
		m.Must(t, "uninstall", "--yes", a.Name)
		wantUntouched(t, m, before)
		for i := range 5 {
			p := m.Start(t, args...)
			moment := rand.N(whole)
			<-time.After(moment) // the moment is what is varied
			r := p.Stop()
			left := m.Try("ls -d /etc/systemd/system/killed-at* /etc/clusterctl/killed-at* /var/lib/clusterctl/* 2>/dev/null").Stdout
			t.Logf("killed after %v of %v: exit status %d, %d files", moment, whole, r.Code, len(kit.Lines(left)))
			if i%2 == 0 || r.Code == 0 {
				// An uninstall, of what may not be there at all, or no more than the directory that the intent was to go into.
				if r := m.Clusterctl(t, "uninstall", "--yes", a.Name); r.Code != done &&
					!(r.Code == failed && strings.Contains(r.Stderr, "there is no app")) {
					t.Errorf("uninstall after a kill: %v", r)
				}
			} else {
				m.Must(t, args[1:]...)
				a.WantUp(t)
				m.Must(t, "uninstall", "--yes", a.Name)
			}
			wantUntouched(t, m, before)
			if t.Failed() {
				return
			}
		}
	})
}

// TestInstallKilledAtEachStep kills an uninstall, and an install, in front of each change that it makes and each message that
// it sends. The next command must find its way from there, and if that is killed as well, the one after it. Each release
// takes every fourth step of the uninstall, and every eighth of the install, which is also killed at random moments.
func TestInstallKilledAtEachStep(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		first := 1 + slices.Index(lab.All(), m.Release())
		install := []string{"install", "killed", "-i", "1", "--listen", "8192", "--listen", "/run/killed.sock",
			"--activation", "native", "--settle", "0s", "--", "/bin/sleep", "infinity"}
		uninstall := []string{"uninstall", "--yes", "killed"}
		before := kit.Lines(m.Sh(t, traces))
		steps := map[string]int{}
		for _, victim := range [][]string{uninstall, install} {
			stride := 2 * len(lab.All())
			if victim[0] == "uninstall" {
				stride = len(lab.All())
			}
			for n := first; !t.Failed(); n += stride {
				if victim[0] == "uninstall" {
					m.Must(t, install...)
				}
				step, r := killedAt(t, m, n, victim...)
				if step == "" {
					if r.Code != done {
						t.Errorf("%s, not killed: %v", victim[0], r)
					}
					m.Clusterctl(t, uninstall...)
					wantUntouched(t, m, before)
					break
				}
				steps[victim[0]]++
				// An install must succeed from any state; an uninstall may find that nothing is installed.
				undone := func(r lab.Result) bool {
					return r.Code == done || r.Code == failed && strings.Contains(r.Stderr, "there is no app")
				}
				again := ""
				if n%3 == 0 {
					if again, r = killedAt(t, m, n, uninstall...); again == "" && !undone(r) {
						t.Errorf("the next command: %v", r)
					}
				}
				if n%2 == 0 {
					// Killed before it began, the uninstall has left the app as it was.
					if r := m.Clusterctl(t, install...); r.Code != done && !strings.Contains(r.Stderr, "already installed") {
						t.Errorf("the next command: %v", r)
					}
					m.Must(t, uninstall...)
				} else if r := m.Clusterctl(t, uninstall...); !undone(r) {
					t.Errorf("the next command: %v", r)
				}
				wantUntouched(t, m, before)
				if t.Failed() {
					t.Errorf("%s killed at step %d, %s; the repair at %q", victim[0], n, step, again)
				}
			}
		}
		t.Logf("%v kills", steps)
	})
}

// TestConcurrentCommandsWait runs two commands on one app: the second waits for the first, and says for whom.
func TestConcurrentCommandsWait(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		first := startInstall(t, m, "locked", 8193)
		// It runs, it has the lock, and it will not end by itself. The message is the event that the second waits.
		second := m.Start(t, "sh", "-c", kit.Ctl+" uninstall --yes locked 2>&1 | systemd-cat -t second; echo done")
		m.AwaitJournal(t, "clusterctl install locked", "-t", "second")
		if first.Ended() || second.Ended() {
			t.Fatal("one of the commands has ended already")
		}
		other := m.Must(t, "ls") // what changes nothing does not wait
		if !strings.Contains(other.Stdout+other.Stderr, "locked") {
			t.Logf("ls while an install is under way: %v", other)
		}
		if err := first.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if r := first.Wait(); r.Code != interrupted {
			t.Errorf("the first: %v", r)
		}
		second.Wait()
		t.Logf("the second:\n%s", m.Journal(t, "-o", "cat", "-t", "second"))
		wantUntouched(t, m, before)
	})
}
