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

const neverReady = "/opt/e2e/never-ready"

// startInstall starts an install of a program that never sends READY=1. startInstall returns when both instances are
// starting and have a main process.
func startInstall(t testing.TB, m *kit.Machine, name string, port int) *lab.Process {
	t.Helper()
	m.WriteFile(t, neverReady, "#!/bin/sh\nexec sleep infinity\n", 0o755)
	p := m.Start(t, kit.Ctl, "install", name, "-i", "2", "--listen", fmt.Sprint(port), "--activation", "native",
		"--ready", "notify", "--start-timeout", "10m", "--", neverReady)
	kit.DialBus(t, m).Await(t, "the instances are starting", func(s kit.Status) bool { return s.Active == "activating" && s.PID != 0 },
		name+"@1.service", name+"@2.service")
	return p
}

// TestInterruptedInstall sends SIGINT to one install and SIGTERM to another install, while each of them waits for
// READY=1. Both installs must be rolled back.
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
				t.Errorf("after %v: got exit status %d, want %d: %v", sig, r.Code, interrupted, r)
			}
			wantError(t, r.Stderr, "interrupted")
			wantUntouched(t, m, before)
		}
	})
}

// TestKilledInstall kills clusterctl at five random moments of an install on each release. The next install or uninstall
// must succeed.
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
				// If the kill came before the install wrote the files of the app, uninstall may find no app.
				if r := m.Clusterctl(t, "uninstall", "--yes", a.Name); r.Code != done &&
					!(r.Code == failed && strings.Contains(r.Stderr, "there is no app")) {
					t.Errorf("uninstall after the kill of an install: %v", r)
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

// TestInstallKilledAtEachStep runs uninstalls and installs, and kills each of them before a different step. A step is a
// change of a file or a message to systemd. The next command must succeed. In some runs, the test kills a further
// uninstall before the next command. Each release tests every fourth step of the uninstall, and only every eighth step
// of the install, because TestKilledInstall kills installs, too.
func TestInstallKilledAtEachStep(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		firstStep := 1 + slices.Index(lab.All(), m.Release())
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
			for n := firstStep; !t.Failed(); n += stride {
				if victim[0] == "uninstall" {
					m.Must(t, install...)
				}
				step, r := killedAt(t, m, n, victim...)
				if step == "" {
					if r.Code != done {
						t.Errorf("%s has fewer than %d steps, but failed: %v", victim[0], n, r)
					}
					m.Clusterctl(t, uninstall...)
					wantUntouched(t, m, before)
					break
				}
				steps[victim[0]]++
				// An install must always succeed. An uninstall may find no app.
				uninstalled := func(r lab.Result) bool {
					return r.Code == done || r.Code == failed && strings.Contains(r.Stderr, "there is no app")
				}
				again := ""
				if n%3 == 0 {
					if again, r = killedAt(t, m, n, uninstall...); again == "" && !uninstalled(r) {
						t.Errorf("an uninstall with fewer than %d steps failed: %v", n, r)
					}
				}
				if n%2 == 0 {
					// If the uninstall was killed before its first change, the app is still installed.
					if r := m.Clusterctl(t, install...); r.Code != done && !strings.Contains(r.Stderr, "already installed") {
						t.Errorf("the install after the kill failed: %v", r)
					}
					m.Must(t, uninstall...)
				} else if r := m.Clusterctl(t, uninstall...); !uninstalled(r) {
					t.Errorf("the uninstall after the kill failed: %v", r)
				}
				wantUntouched(t, m, before)
				if t.Failed() {
					t.Errorf("the checks above failed after a kill of %s before step %d (%s) and a kill of uninstall before step %q",
						victim[0], n, step, again)
				}
			}
		}
		t.Logf("kills of each command: %v", steps)
	})
}

// TestConcurrentCommandsWait runs two commands on one app. The second command must wait until the first command ends, and
// must print the command line of the first command.
func TestConcurrentCommandsWait(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		before := kit.Lines(m.Sh(t, traces))
		first := startInstall(t, m, "locked", 8193)
		// The first command has the lock and waits for READY=1. The second command prints the command line of the first
		// command when it begins to wait for the lock.
		second := m.Start(t, "sh", "-c", kit.Ctl+" uninstall --yes locked 2>&1 | systemd-cat -t second; echo done")
		m.AwaitJournal(t, "clusterctl install locked", "-t", "second")
		if first.Ended() || second.Ended() {
			t.Fatalf("the first command has ended: %v, the second: %v; want false for both", first.Ended(), second.Ended())
		}
		m.Must(t, "ls") // clusterctl ls must not wait for the lock
		if err := first.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if r := first.Wait(); r.Code != interrupted {
			t.Errorf("the interrupted install: got exit status %d, want %d: %v", r.Code, interrupted, r)
		}
		second.Wait()
		t.Logf("the output of the second command:\n%s", m.Journal(t, "-o", "cat", "-t", "second"))
		wantUntouched(t, m, before)
	})
}
