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

// startInstall starts an install that waits forever for READY=1, and returns when systemd waits for the instances.
func startInstall(t testing.TB, m *kit.Machine, name string, port int) *lab.Process {
	t.Helper()
	m.WriteFile(t, silent, "#!/bin/sh\nexec sleep infinity\n", 0o755)
	p := m.Start(t, kit.Ctl, "install", name, "-i", "2", "--listen", fmt.Sprint(port), "--activation", "native",
		"--ready", "notify", "--start-timeout", "10m", "--", silent)
	kit.DialBus(t, m).Await(t, "the instances are starting", func(s kit.Status) bool { return s.Active == "activating" && s.PID != 0 },
		name+"@1.service", name+"@2.service")
	return p
}

// TestInterruptedInstall sends the signals of Ctrl-C, a hang-up and a shutdown to an install that waits. The install must
// take everything back.
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

// TestKilledInstall kills clusterctl at twenty random moments of an install, five on each release. The next install or
// uninstall must succeed from the state that is left.
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
			<-time.After(moment) // the kill comes at a random moment
			r := p.Stop()
			left := m.Try("ls -d /etc/systemd/system/killed-at* /etc/clusterctl/killed-at* /var/lib/clusterctl/* 2>/dev/null").Stdout
			t.Logf("killed after %v of %v: exit status %d, %d files", moment, whole, r.Code, len(kit.Lines(left)))
			if i%2 == 0 || r.Code == 0 {
				// The app of this uninstall may not exist at all, or only the directory for the intent may exist.
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

// TestInstallKilledAtEachStep kills an uninstall and an install before each change that it makes and each message that it
// sends. The next command must succeed from the state that is left, also when that command is killed and repeated. Each
// release takes every fourth step of the uninstall, and every eighth step of the install, because installs are also killed
// at random moments.
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
						t.Errorf("an uninstall, killed at the same step: %v", r)
					}
				}
				if n%2 == 0 {
					// If the uninstall was killed before it began, the app is still installed.
					if r := m.Clusterctl(t, install...); r.Code != done && !strings.Contains(r.Stderr, "already installed") {
						t.Errorf("the next install: %v", r)
					}
					m.Must(t, uninstall...)
				} else if r := m.Clusterctl(t, uninstall...); !undone(r) {
					t.Errorf("the next uninstall: %v", r)
				}
				wantUntouched(t, m, before)
				if t.Failed() {
					t.Errorf("%s killed at step %d, %s; the next uninstall killed at %q", victim[0], n, step, again)
				}
			}
		}
		t.Logf("%v kills", steps)
	})
}

// TestConcurrentCommandsWait runs two commands on one app. The second must wait for the first, and print which command it
// waits for.
func TestConcurrentCommandsWait(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		first := startInstall(t, m, "locked", 8193)
		// The first command has the lock, and waits forever. Its message in the journal shows that the second command
		// waits.
		second := m.Start(t, "sh", "-c", kit.Ctl+" uninstall --yes locked 2>&1 | systemd-cat -t second; echo done")
		m.AwaitJournal(t, "clusterctl install locked", "-t", "second")
		if first.Ended() || second.Ended() {
			t.Fatal("one of the commands has ended already")
		}
		other := m.Must(t, "ls") // ls changes nothing, so it does not wait
		if !strings.Contains(other.Stdout+other.Stderr, "locked") {
			t.Logf("ls while an install runs: %v", other)
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
