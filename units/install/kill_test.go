//go:build linux

package install

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
)

// TestMain runs a helper if the environment contains the name of a helper. Tests start helpers as separate processes,
// because a test cannot kill its own process.
func TestMain(m *testing.M) {
	if role := os.Getenv("CLUSTERCTL_INSTALL_HELPER"); role != "" {
		os.Exit(helper(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// panicTB implements tb in a helper process, which has no testing.T.
type panicTB struct{}

func (panicTB) Helper()                           {}
func (panicTB) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (panicTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// helper is the main function of a helper process. helper returns the exit status.
func helper(role string, args []string) int {
	s := storeAt(args[0])
	switch role {
	case "step":
		// The arguments are the root directory of the store, a scenario and the number of a step. Do the apply of the
		// scenario, and kill this process at this step.
		n, _ := strconv.Atoi(args[2])
		s.fault = countdown(n, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} })
		c := scenarios()[args[1]]
		apply(panicTB{}, s, c.new)
	case "loop":
		// The argument is the root directory of the store. Do one apply after another until the process is killed.
		fmt.Println("ready")
		for v := 1; ; v++ {
			l, err := s.Lock(context.Background(), "shop", nil)
			if err != nil {
				panic(err)
			}
			a := app(v%7 + 1)
			if v%5 == 0 {
				a = noApp()
			}
			apply(panicTB{}, s, a)
			if err := l.Unlock(); err != nil {
				panic(err)
			}
		}
	case "hold":
		return holdLock(s)
	case "count":
		return countUp(s, args[1])
	case "user":
		return asUser(s)
	}
	return 0
}

// countdown returns a function that calls the function end at the n-th call.
func countdown(n int, end func()) func(string) {
	return func(string) {
		if n--; n == 0 {
			end()
		}
	}
}

// startHelper starts a helper process. startHelper returns the process and a reader of its standard output.
func startHelper(t *testing.T, role string, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CLUSTERCTL_INSTALL_HELPER="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, bufio.NewReader(out)
}

type scenario struct{ old, new units.App }

func scenarios() map[string]scenario {
	return map[string]scenario{
		"install":   {noApp(), app(2)},
		"update":    {app(2), app(3)},
		"grow":      {app(1), app(2)},
		"scale":     {scaledApp(2), scaledApp(3)},
		"uninstall": {app(2), noApp()},
	}
}

// scenarioNames returns the names of the scenarios in the same order at each call.
func scenarioNames() []string { return []string{"install", "update", "grow", "scale", "uninstall"} }

// killTest is a scenario, a root to which it applies, and the trees of the root before and after the apply.
type killTest struct {
	scenario
	root, before, after string
}

func newKillTest(t *testing.T, name string) killTest {
	t.Helper()
	g := killTest{scenario: scenarios()[name], root: newRoot(t)}
	s := storeAt(g.root)
	if g.old.Command != nil {
		// First make a revision, which an uninstall must remove and a rollback must keep.
		apply(t, s, app(5))
		apply(t, s, g.old)
	}
	g.before = tree(t, g.root)
	return g
}

// The method run does the apply of the scenario in a copy of the root, without a kill, and returns the number of steps.
func (g *killTest) run(t *testing.T) (steps int) {
	t.Helper()
	root := t.TempDir()
	copyTree(t, g.root, root)
	s := storeAt(root)
	s.fault = func(string) { steps++ }
	apply(t, s, g.new)
	g.after = tree(t, root)
	return steps
}

// The method repair completes or rolls back a pending apply, and returns the tree that the root must then have, or "" if no
// apply is pending.
func (g *killTest) repair(t tb, s Store, forward bool) (want string) {
	t.Helper()
	// The simulated kill is a panic, which does not release a lock. So take the lock with a store without a fault.
	withoutFault := s
	withoutFault.fault = nil
	l, err := withoutFault.Lock(context.Background(), "shop", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	p, found, err := s.Pending("shop")
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return ""
	}
	if !forward {
		if err := p.Rollback(); err != nil {
			t.Fatal(err)
		}
		return g.before
	}
	tx, err := p.RollForward()
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return g.after
}

// The method check compares the tree of a root with the tree in want. If want is empty, the tree must be the tree before or
// after the apply.
func (g *killTest) check(t tb, what, root, want string) {
	t.Helper()
	got := tree(t, root)
	if want == "" {
		if got == g.before || got == g.after {
			return
		}
		want = g.before
	}
	wantEqual(t, what, got, want)
}

// TestKillAtEveryStep kills an apply at each of its steps. A rollback must then restore all old files, and a RollForward
// must write all new files.
func TestKillAtEveryStep(t *testing.T) {
	for _, name := range scenarioNames() {
		t.Run(name, func(t *testing.T) {
			g := newKillTest(t, name)
			steps := g.run(t)
			if steps < 20 {
				t.Fatalf("got %d steps, want at least 20", steps)
			}
			for n := 1; n <= steps; n++ {
				root := newCopy(t, g.root)
				cmd, _ := startHelper(t, "step", root, name, strconv.Itoa(n))
				err := cmd.Wait()
				if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("step %d: got %v, want an end by SIGKILL", n, err)
				}
				forward := newCopy(t, root)
				for _, to := range []string{root, forward} {
					want := g.repair(t, storeAt(to), to == forward)
					g.check(t, fmt.Sprintf("step %d of %d, forward %v", n, steps, to == forward), to, want)
					if err := os.RemoveAll(to); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d steps", steps)
		})
	}
}

// newCopy returns a copy of a root. The end of the test removes the copy.
func newCopy(t *testing.T, from string) string {
	t.Helper()
	to, err := os.MkdirTemp(memory(), "clusterctl-install-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(to) })
	copyTree(t, from, to)
	return to
}

// simulatedKill is the value of a panic that simulates SIGKILL, in tests that need thousands of kills. After the panic,
// the package only closes files.
type simulatedKill struct{}

// killAtStep runs f and ends it at its n-th step. killAtStep returns false if f has fewer steps.
func killAtStep(s *Store, n int, f func()) (ended bool) {
	defer func() {
		s.fault = nil
		if r := recover(); r != nil {
			if _, ok := r.(simulatedKill); !ok {
				panic(r)
			}
			ended = true
		}
	}()
	s.fault = countdown(n, func() { panic(simulatedKill{}) })
	f()
	return false
}

// TestKillTheRepair kills an apply at many of its steps, and then kills its repair at many of its steps. A second repair, in
// the same or the other direction, must succeed.
func TestKillTheRepair(t *testing.T) {
	for _, name := range scenarioNames() {
		t.Run(name, func(t *testing.T) {
			g := newKillTest(t, name)
			steps := g.run(t)
			for n := 2; n <= steps; n += 9 {
				base := newCopy(t, g.root)
				s := storeAt(base)
				if !killAtStep(&s, n, func() { apply(t, s, g.new) }) {
					t.Fatalf("the apply has fewer than %d steps", n)
				}
				for m := 1 + n%7; ; m += 7 {
					reached := false
					for mode := range 4 {
						root := newCopy(t, base)
						s := storeAt(root)
						ended := killAtStep(&s, m, func() { g.repair(t, s, mode&1 != 0) })
						reached = reached || ended
						want := g.repair(t, s, mode&2 != 0)
						g.check(t, fmt.Sprintf("apply killed at %d, repair at %d, mode %d", n, m, mode), root, want)
						_ = os.RemoveAll(root)
					}
					if !reached {
						break
					}
				}
				_ = os.RemoveAll(base)
			}
		})
	}
}

// TestKillAtRandom runs a process that does one apply after another, and kills it at a random moment. After each repair, the
// files of exactly one version must be on disk.
func TestKillAtRandom(t *testing.T) {
	// On a busy machine, many kills happen before the process begins an apply. The number of kills is at least minKills and
	// at most maxKills. The test ends when wantIntents kills have left an intent.
	const minKills, wantIntents, maxKills = 200, 10, 2000
	root := newRoot(t)
	clean := tree(t, root)
	n, found := 0, 0
	for ; n < minKills || found < wantIntents && n < maxKills; n++ {
		cmd, out := startHelper(t, "loop", root)
		if _, err := out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		// This sleep only selects the random moment of the kill. Several applies fit in 40 ms, even on a slow machine.
		time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		s := storeAt(root)
		l, err := s.Lock(t.Context(), "shop", nil)
		if err != nil {
			t.Fatal(err)
		}
		p, ok, err := s.Pending("shop")
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			found++
			if n%2 == 0 {
				err = p.Rollback()
			} else if tx, forwardErr := p.RollForward(); forwardErr != nil {
				err = forwardErr
			} else {
				err = tx.Commit()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if a, err := s.Load("shop"); err == nil {
			checkInstalled(t, s, a)
		} else {
			wantEqual(t, "the files without the app", tree(t, root), clean)
		}
		if _, err := s.Revisions("shop"); err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d kills left an intent", found, n)
	if found < wantIntents {
		t.Errorf("got %d intents from %d kills, want at least %d", found, n, wantIntents)
	}
}

// TestSequences does random sequences of applies, some of which are rolled back or killed. The disk must then contain the
// files of the last successful apply, and the administrator's files must be unchanged.
func TestSequences(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(memory(), "clusterctl-install-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(root)
		writeAdminFiles(rt, root)
		s := storeAt(root)
		clean := tree(rt, root)
		current := noApp()
		for range rapid.IntRange(1, 8).Draw(rt, "length") {
			next := noApp()
			if v := rapid.IntRange(0, 6).Draw(rt, "version"); v > 0 {
				next = app(v)
			}
			switch rapid.SampledFrom([]string{"apply", "roll back", "kill and repair"}).Draw(rt, "end") {
			case "apply":
				apply(rt, s, next)
				current = next
			case "roll back":
				tx, err := s.Begin(makePlan(rt, s, next))
				if err != nil {
					rt.Fatal(err)
				}
				if err := errors.Join(tx.Write(), tx.Rollback()); err != nil {
					rt.Fatal(err)
				}
			case "kill and repair":
				current = killAndRepair(rt, s, current, next)
			}
			checkInstalled(rt, s, current)
			if current.Command == nil && !strings.Contains(tree(rt, root), "revisions") {
				wantEqual(rt, "the files without the app", tree(rt, root), clean)
			}
		}
	})
}

// killAndRepair kills an apply and repairs it. killAndRepair returns the app that must then be installed.
func killAndRepair(t *rapid.T, s Store, current, next units.App) units.App {
	if !killAtStep(&s, rapid.IntRange(1, 120).Draw(t, "step"), func() { apply(t, s, next) }) {
		return next
	}
	l, err := s.Lock(context.Background(), "shop", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	p, found, err := s.Pending("shop")
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		if !makePlan(t, s, current).Changed() {
			return current
		}
		return next
	}
	if rapid.Bool().Draw(t, "back") {
		if err := p.Rollback(); err != nil {
			t.Fatal(err)
		}
		return current
	}
	tx, err := p.RollForward()
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return next
}
