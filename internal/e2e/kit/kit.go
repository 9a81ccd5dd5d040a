// Package kit contains functions for the end-to-end tests. The functions prepare machines with clusterctl, install apps,
// watch units, send requests, and compare results.
package kit

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// These are the paths of clusterctl and the shim in a machine.
const (
	Ctl  = "/usr/bin/clusterctl"
	Shim = "/usr/lib/clusterctl/clusterctl-shim"
)

const (
	CommandTimeout = 5 * time.Minute // the timeout of one clusterctl command
	EventTimeout   = 5 * time.Minute // the timeout of a condition that a test waits for
)

// Suite describes the machines that the tests of one package use.
type Suite struct {
	// Dir is the working directory of clusterctl in the machine.
	Dir string
	// Equip copies the files that the tests need, except clusterctl and the shim, into a new machine.
	Equip func(t testing.TB, m *Machine)
}

// Machine is a machine in which clusterctl is installed.
type Machine struct {
	*lab.Machine
	dir string
}

// Shared returns the shared machine of a release. All tests of this process use this machine. The first call copies
// clusterctl and the files of the suite into the machine.
func (s Suite) Shared(t testing.TB, r lab.Release) *Machine {
	t.Helper()
	return s.equip(t, lab.Shared(t, r))
}

// Boot boots a machine for one test, and copies clusterctl and the files of the suite into the machine.
func (s Suite) Boot(t testing.TB, r lab.Release, opts ...lab.Option) *Machine {
	t.Helper()
	return s.equip(t, lab.Boot(t, r, opts...))
}

// BareMachines boots one machine per release, without clusterctl and without workers, and runs f on all these machines at
// the same time.
func BareMachines(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			f(t, &Machine{lab.Boot(t, r), "/"})
		})
	}
}

// equip copies clusterctl, the shim and the files of the suite into a booted machine, and returns the
// machine.
func (s Suite) equip(t testing.TB, booted *lab.Machine) *Machine {
	t.Helper()
	m := &Machine{booted, s.Dir}
	m.Equip(func() {
		m.CopyIn(t, lab.Build(t, "./cmd/clusterctl"), Ctl)
		m.CopyIn(t, lab.Build(t, "./cmd/clusterctl-shim"), Shim)
		s.Equip(t, m)
	})
	return m
}

// Sequential runs f on the shared machine of each release, one release after another. A test that sends requests at full
// speed must use Sequential, because such a test would slow down other tests that run at the same time.
func (s Suite) Sequential(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) { f(t, s.Shared(t, r)) })
	}
}

// Parallel runs f on the shared machines of all releases at the same time. Two tests run on the same machine at the same
// time only if both tests call t.Parallel before they call Parallel.
func (s Suite) Parallel(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			f(t, s.Shared(t, r))
		})
	}
}

// OwnMachines boots a new machine for each release, and runs f on all these machines at the same time.
func (s Suite) OwnMachines(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			f(t, s.Boot(t, r))
		})
	}
}

// Clusterctl runs clusterctl as root in the directory Suite.Dir, and ends the test if the command exceeds CommandTimeout.
func (m *Machine) Clusterctl(t testing.TB, args ...string) lab.Result {
	t.Helper()
	return m.ClusterctlIn(t, m.dir, args...)
}

// ClusterctlIn runs clusterctl as root in the directory dir of the machine, and ends the test if the command exceeds
// CommandTimeout.
func (m *Machine) ClusterctlIn(t testing.TB, dir string, args ...string) lab.Result {
	t.Helper()
	ctx, cancel := patience.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	r := m.Run(ctx, slices.Concat([]string{"env", "-C", dir, Ctl}, args)...)
	if r.Code == -1 {
		t.Fatalf("clusterctl %q: %v", args, r)
	}
	return r
}

// Must runs clusterctl as root in the directory Suite.Dir, and ends the test if clusterctl fails.
func (m *Machine) Must(t testing.TB, args ...string) lab.Result {
	t.Helper()
	r := m.Clusterctl(t, args...)
	if r.Code != 0 {
		t.Fatalf("clusterctl %q: %v", args, r)
	}
	return r
}

// AsNobody returns a command line that runs argv as the unprivileged user "nobody" (65534).
func AsNobody(argv ...string) []string {
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, argv...)
}

// MustAsNobody runs clusterctl as the unprivileged user "nobody", and ends the test if clusterctl fails.
func (m *Machine) MustAsNobody(t testing.TB, args ...string) lab.Result {
	t.Helper()
	r := m.Run(t.Context(), AsNobody(slices.Insert(args, 0, Ctl)...)...)
	if r.Code != 0 {
		t.Fatalf("clusterctl %q as an unprivileged user: %v", args, r)
	}
	return r
}

// CopyTree copies all files below a directory of the host into a directory of the machine.
func (m *Machine) CopyTree(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err == nil {
			m.CopyIn(t, path, filepath.Join(to, rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Property returns the value of one property of a unit.
func (m *Machine) Property(t testing.TB, unit, name string) string {
	t.Helper()
	return m.Sh(t, "systemctl show --value -p "+name+" '"+unit+"'")
}

// Get returns the body of the response to a GET request, and ends the test if the request fails.
func (m *Machine) Get(t testing.TB, url string) string {
	t.Helper()
	return m.Sh(t, "curl -fsS --max-time 60 '"+url+"'")
}

// Exposure returns the exposure level of a unit that systemd-analyze security prints: 0 is the best, 10 is the worst.
func (m *Machine) Exposure(t testing.TB, unit string) float64 {
	t.Helper()
	out := m.Sh(t, "systemd-analyze security --no-pager "+unit)
	_, level, _ := strings.Cut(out, "Overall exposure level for "+unit+": ")
	number, _, _ := strings.Cut(level, " ")
	x, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatalf("systemd-analyze security prints no exposure level: %v\n%s", err, out)
	}
	return x
}

// Step runs f as a subtest. If f fails, Step ends the whole test, because the next steps depend on this step.
func Step(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	if !t.Run(name, f) {
		t.FailNow()
	}
}

// Poll calls f until f returns true, and fails the test after a timeout. Poll is only for conditions that no event
// reports. The parameter condition describes f in the failure text.
func Poll(t testing.TB, condition string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience.For(EventTimeout)); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("timeout while waiting until %s", condition)
			return
		}
	}
}

// Lines returns the non-empty lines of s.
func Lines(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
}
