package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab/image"
)

// Release is the name of the image that a machine is booted from.
type Release = image.Release

// The Debian releases, and variants with more packages.
const (
	Bullseye = image.Bullseye // systemd 247
	Bookworm = image.Bookworm // systemd 252
	Trixie   = image.Trixie   // systemd 257
	Sid      = image.Sid      // systemd 262
	Workers  = image.Workers  // Bookworm with gunicorn, ruby, php, nginx, gcc, express, bun, deno, …
	Bench    = image.Bench    // Bookworm with PM2, autocannon, nginx, wrk

	Operators       = image.Operators       // Bookworm with polkit
	OperatorsTrixie = image.OperatorsTrixie // Trixie with polkit
	OperatorsSid    = image.OperatorsSid    // Sid with polkit
)

// All returns the four releases of Debian, oldest first.
func All() []Release { return image.All() }

// global is the state that all tests of the process share. Only Main, Shared and Build use it.
var global state

type state struct {
	mu      sync.Mutex
	main    bool // Main was called
	shared  map[Release]*sharedMachine
	builds  map[string]string
	tmp     string   // directory of the binaries of Build
	tmpLock *os.File // lock of tmp; see createDir
}

type sharedMachine struct {
	once sync.Once
	m    *Machine
	err  error
}

// Reexec must be the first call in a program that boots machines. A keeper is a second process of this program. In a keeper,
// Reexec does not return. Tests call Main, which calls Reexec.
func Reexec() {
	if os.Getenv(keeperEnv) != "" {
		os.Exit(runKeeper())
	}
}

// Main runs the tests of a package that boots machines:
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
// Main ends the machines of Shared and removes the results of Build.
func Main(m *testing.M) {
	Reexec()
	global.mu.Lock()
	global.main = true
	global.mu.Unlock()
	m.Run() // when TestMain returns, the process exits with the result of m.Run
	global.close()
}

func (s *state) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Sorted(maps.Keys(s.shared)) {
		if sm := s.shared[r]; sm.m != nil {
			if err := sm.m.Close(); err != nil {
				fmt.Fprintf(os.Stderr, "lab: cannot stop the shared %s machine: %v\n", r, err)
			}
		}
	}
	if s.tmp != "" {
		if err := discard(s.tmp); err != nil {
			fmt.Fprintf(os.Stderr, "lab: cannot remove the binaries: %v\n", err)
		}
		s.tmpLock.Close()
	}
}

// Boot boots a machine for one test, and ends it when the test ends. The first boot of a release builds its image, which
// takes about a minute.
func Boot(t testing.TB, release Release, opts ...Option) *Machine {
	t.Helper()
	requireMain(t)
	m, err := Open(t.Context(), release, os.Stderr, append([]Option{forTest(t)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("stopping %s: %v", m.name, err)
		}
	})
	m.explainFailure(t)
	return m
}

// Shared returns the machine of a release that all tests of the process share. The first call boots the machine, and Main
// ends it. A test must use unique names for everything that it installs on the machine, and must remove everything at its
// end.
func Shared(t testing.TB, release Release) *Machine {
	t.Helper()
	requireMain(t)
	global.mu.Lock()
	if global.shared == nil {
		global.shared = make(map[Release]*sharedMachine)
	}
	s := global.shared[release]
	if s == nil {
		s = new(sharedMachine)
		global.shared[release] = s
	}
	global.mu.Unlock()
	// Other tests use the machine after the context of this test has ended.
	s.once.Do(func() { s.m, s.err = Open(context.Background(), release, os.Stderr, forTest(t)) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	s.m.explainFailure(t)
	return s.m
}

// forTest returns an option that masks systemd's generators for tests. For benchmarks, which must measure an ordinary
// system, the option does nothing.
func forTest(t testing.TB) Option {
	_, measured := t.(*testing.B)
	return func(c *keeperConfig) { c.Plain = !measured }
}

func requireMain(t testing.TB) {
	t.Helper()
	global.mu.Lock()
	defer global.mu.Unlock()
	if !global.main {
		t.Fatal("lab: this package needs: func TestMain(m *testing.M) { lab.Main(m) }")
	}
}

// explainFailure logs failed units, jobs and the journal of the machine if the test fails. Cleanups run in reverse order, so
// this cleanup runs before the machine is closed.
func (m *Machine) explainFailure(t testing.TB) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		var b strings.Builder
		for _, c := range []string{"systemctl --failed --no-pager --no-legend", "systemctl list-jobs --no-pager --no-legend",
			"journalctl --no-pager -q -b -n 100 -o short-precise"} {
			r := m.Try("timeout 20 " + c)
			fmt.Fprintf(&b, "# %s\n%s%s\n", c, r.Stdout, r.Stderr)
		}
		t.Logf("state of the machine %s (%s):\n%s", m.name, m.release, b.String())
	})
}
