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

// TestMain becomes a helper process when it is asked to: what is killed must be a process.
func TestMain(m *testing.M) {
	if role := os.Getenv("CLUSTERCTL_INSTALL_HELPER"); role != "" {
		os.Exit(helper(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fatal is a tb for the helper.
type fatal struct{}

func (fatal) Helper()                           {}
func (fatal) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (fatal) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// helper runs in a process of its own.
func helper(role string, args []string) int {
	s := storeAt(args[0])
	switch role {
	case "step":
		// root scenario step: the scenario's apply, killed at the step.
		n, _ := strconv.Atoi(args[2])
		s.fault = countdown(n, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} })
		c := scenarios()[args[1]]
		apply(fatal{}, s, c.new)
	case "loop":
		// root: one apply after the other, until it is killed.
		fmt.Println("ready")
		for v := 1; ; v++ {
			l, err := s.Lock(context.Background(), "shop", nil)
			if err != nil {
				panic(err)
			}
			a := app(v%7 + 1)
			if v%5 == 0 {
				a = nothing()
			}
			apply(fatal{}, s, a)
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

// countdown calls end at the n-th step, counted from 1.
func countdown(n int, end func()) func(string) {
	return func(string) {
		if n--; n == 0 {
			end()
		}
	}
}

// start runs a helper and gives its standard output.
func start(t *testing.T, role string, args ...string) (*exec.Cmd, *bufio.Reader) {
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
		"install":   {nothing(), app(2)},
		"update":    {app(2), app(3)},
		"grow":      {app(1), app(2)},
		"scale":     {scaled(2), scaled(3)},
		"uninstall": {app(2), nothing()},
	}
}

// names of the scenarios, in order.
func scenarioNames() []string { return []string{"install", "update", "grow", "scale", "uninstall"} }

// stage is a scenario with its trees before and after.
type stage struct {
	scenario
	root, before, after string
}

func newStage(t *testing.T, name string) stage {
	t.Helper()
	g := stage{scenario: scenarios()[name], root: newRoot(t)}
	s := storeAt(g.root)
	if g.old.Command != nil {
		// A revision, so that uninstall has one to remove and rollback one to keep.
		apply(t, s, app(5))
		apply(t, s, g.old)
	}
	g.before = tree(t, g.root)
	return g
}

// run does the apply of a scenario in this process and counts its steps.
func (g *stage) run(t *testing.T) (steps int) {
	t.Helper()
	root := t.TempDir()
	copyTree(t, g.root, root)
	s := storeAt(root)
	s.fault = func(string) { steps++ }
	apply(t, s, g.new)
	g.after = tree(t, root)
	return steps
}

// recover ends what is pending, in one direction, and gives the tree that it must lead to.
func (g *stage) recover(t tb, s Store, forward bool) (want string) {
	t.Helper()
	// A panic in place of a kill would not free a lock that is only just taken.
	unharmed := s
	unharmed.fault = nil
	l, err := unharmed.Lock(context.Background(), "shop", nil)
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

// check compares the tree with what is wanted; without an intent it must be one of the two.
func (g *stage) check(t tb, what, root, want string) {
	t.Helper()
	got := tree(t, root)
	if want == "" {
		if got == g.before || got == g.after {
			return
		}
		want = g.before
	}
	same(t, what, got, want)
}

// A process is killed at each of its steps: the intent leads to exactly the old or exactly the new files.
func TestKillAtEveryStep(t *testing.T) {
	for _, name := range scenarioNames() {
		t.Run(name, func(t *testing.T) {
			g := newStage(t, name)
			steps := g.run(t)
			if steps < 20 {
				t.Fatalf("only %d steps", steps)
			}
			for n := 1; n <= steps; n++ {
				root := newCopy(t, g.root)
				cmd, _ := start(t, "step", root, name, strconv.Itoa(n))
				err := cmd.Wait()
				if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("step %d: %v", n, err)
				}
				forward := newCopy(t, root)
				for _, to := range []string{root, forward} {
					want := g.recover(t, storeAt(to), to == forward)
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

// newCopy is a copy of a root that is removed at the end.
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

// killed is a panic in place of SIGKILL, where thousands are needed: nothing of the package runs after it but the
// closing of files.
type killed struct{}

// until runs f and ends it at its n-th step, and says whether it came that far.
func until(s *Store, n int, f func()) (ended bool) {
	defer func() {
		s.fault = nil
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			ended = true
		}
	}()
	s.fault = countdown(n, func() { panic(killed{}) })
	f()
	return false
}

// The repair is killed as well, at many of its steps after an apply that was killed at many of its own, and repeated
// in the same or in the other direction.
func TestKillTheRepair(t *testing.T) {
	for _, name := range scenarioNames() {
		t.Run(name, func(t *testing.T) {
			g := newStage(t, name)
			steps := g.run(t)
			for n := 2; n <= steps; n += 9 {
				base := newCopy(t, g.root)
				s := storeAt(base)
				if !until(&s, n, func() { apply(t, s, g.new) }) {
					t.Fatalf("step %d was not reached", n)
				}
				for m := 1 + n%7; ; m += 7 {
					reached := false
					for mode := range 4 {
						root := newCopy(t, base)
						s := storeAt(root)
						ended := until(&s, m, func() { g.recover(t, s, mode&1 != 0) })
						reached = reached || ended
						want := g.recover(t, s, mode&2 != 0)
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

// A process that applies one version after the other is killed at random moments; each repair leaves one version, whole.
func TestKillAtRandom(t *testing.T) {
	// So many kills, and on a busy machine, where a process may have done nothing yet, more of them until enough have hit.
	const kills, enough, most = 200, 10, 2000
	root := newRoot(t)
	clean := tree(t, root)
	n, found := 0, 0
	for ; n < kills || found < enough && n < most; n++ {
		cmd, out := start(t, "loop", root)
		if _, err := out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		// The moment is what is random here; nothing is awaited. It reaches over several applies, also on a slow machine.
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
			intact(t, s, a)
		} else {
			same(t, "no app", tree(t, root), clean)
		}
		if _, err := s.Revisions("shop"); err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d kills left an intent", found, n)
	if found < enough {
		t.Errorf("only %d of %d kills left an intent: they do not hit an apply", found, n)
	}
}

// Any sequence of applies, of which some fail, are taken back or are killed, leaves what the last one that succeeded
// wrote, and the administrator's files as they were.
func TestSequences(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(memory(), "clusterctl-install-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(root)
		fill(rt, root)
		s := storeAt(root)
		clean := tree(rt, root)
		current := nothing()
		for range rapid.IntRange(1, 8).Draw(rt, "length") {
			next := nothing()
			if v := rapid.IntRange(0, 6).Draw(rt, "version"); v > 0 {
				next = app(v)
			}
			switch rapid.SampledFrom([]string{"apply", "take back", "back", "forward"}).Draw(rt, "end") {
			case "apply":
				apply(rt, s, next)
				current = next
			case "take back":
				tx, err := s.Begin(planned(rt, s, next))
				if err != nil {
					rt.Fatal(err)
				}
				if err := errors.Join(tx.Write(), tx.Rollback()); err != nil {
					rt.Fatal(err)
				}
			case "back", "forward":
				current = killAndRepair(rt, s, current, next)
			}
			intact(rt, s, current)
			if current.Command == nil && !strings.Contains(tree(rt, root), "revisions") {
				same(rt, "without the app", tree(rt, root), clean)
			}
		}
	})
}

// killAndRepair gives the app that the repair leads to.
func killAndRepair(t *rapid.T, s Store, current, next units.App) units.App {
	if !until(&s, rapid.IntRange(1, 120).Draw(t, "step"), func() { apply(t, s, next) }) {
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
		if !planned(t, s, current).Changed() {
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
