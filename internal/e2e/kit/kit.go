// Package kit holds what the packages of end-to-end tests share: machines with clusterctl installed, installed apps, the
// states of units as systemd reports them, load, and comparisons.
package kit

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// The paths of clusterctl and the shim in a machine.
const (
	Ctl  = "/usr/bin/clusterctl"
	Shim = "/usr/lib/clusterctl/clusterctl-shim"
)

// The timeouts of one clusterctl command in a machine, and of the wait for something that systemd reports.
const (
	CommandTimeout = 5 * time.Minute
	EventTimeout   = 5 * time.Minute
)

// Suite describes the machines of one package of tests.
type Suite struct {
	// Dir is the directory in which clusterctl runs in the machine.
	Dir string
	// Equip copies into a new machine the files that the tests need in addition to clusterctl.
	Equip func(t testing.TB, m *Machine)
}

// Machine is a machine in which clusterctl is installed.
type Machine struct {
	*lab.Machine
	dir string
}

// Shared returns the machine of a release that all tests of the process share. The first call equips it.
func (s Suite) Shared(t testing.TB, r lab.Release) *Machine {
	t.Helper()
	return s.equipped(t, lab.Shared(t, r))
}

// Boot boots a machine for one test, and equips it.
func (s Suite) Boot(t testing.TB, r lab.Release, opts ...lab.Option) *Machine {
	t.Helper()
	return s.equipped(t, lab.Boot(t, r, opts...))
}

// BareMachines runs a test on new machines without clusterctl and without workers, on all releases at the same time.
func BareMachines(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			f(t, &Machine{lab.Boot(t, r), "/"})
		})
	}
}

func (s Suite) equipped(t testing.TB, booted *lab.Machine) *Machine {
	t.Helper()
	m := &Machine{booted, s.Dir}
	m.Equip(func() {
		m.CopyIn(t, lab.Build(t, "./cmd/clusterctl"), Ctl)
		m.CopyIn(t, lab.Build(t, "./cmd/clusterctl-shim"), Shim)
		s.Equip(t, m)
	})
	return m
}

// Sequential runs a test on the shared machines of the releases, one release after the other. It is for load at full speed,
// which would disturb other tests.
func (s Suite) Sequential(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) { f(t, s.Shared(t, r)) })
	}
}

// Parallel runs a test on the shared machines of the releases at the same time. The tests of one machine still run one
// after the other, unless the caller has called t.Parallel.
func (s Suite) Parallel(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			f(t, s.Shared(t, r))
		})
	}
}

// OwnMachines runs a test on new machines, on all releases at the same time.
func (s Suite) OwnMachines(t *testing.T, releases []lab.Release, f func(t *testing.T, m *Machine)) {
	t.Helper()
	for _, r := range releases {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			f(t, s.Boot(t, r))
		})
	}
}

// Clusterctl runs clusterctl as root in the directory of the suite. It ends the test when the command exceeds
// CommandTimeout.
func (m *Machine) Clusterctl(t testing.TB, args ...string) lab.Result {
	t.Helper()
	return m.ClusterctlIn(t, m.dir, args...)
}

// ClusterctlIn runs clusterctl as root in a directory of the machine. It ends the test when the command exceeds
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

// Must runs clusterctl like Clusterctl, and ends the test when clusterctl fails.
func (m *Machine) Must(t testing.TB, args ...string) lab.Result {
	t.Helper()
	r := m.Clusterctl(t, args...)
	if r.Code != 0 {
		t.Fatalf("clusterctl %q: %v", args, r)
	}
	return r
}

// AsNobody returns a command line that runs a command as the user nobody, who has no rights.
func AsNobody(argv ...string) []string {
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, argv...)
}

// MustAsNobody runs clusterctl as the user nobody, and ends the test when clusterctl fails.
func (m *Machine) MustAsNobody(t testing.TB, args ...string) lab.Result {
	t.Helper()
	r := m.Run(t.Context(), AsNobody(slices.Insert(args, 0, Ctl)...)...)
	if r.Code != 0 {
		t.Fatalf("clusterctl %q without rights: %v", args, r)
	}
	return r
}

// Property returns one property of a unit.
func (m *Machine) Property(t testing.TB, unit, name string) string {
	t.Helper()
	return m.Sh(t, "systemctl show --value -p "+name+" '"+unit+"'")
}

// Get returns the body of a page, and ends the test when the request fails.
func (m *Machine) Get(t testing.TB, url string) string {
	t.Helper()
	return m.Sh(t, "curl -fsS --max-time 60 '"+url+"'")
}

// Exposure returns the verdict of systemd-analyze security on a unit: 0 is the best, 10 is the worst.
func (m *Machine) Exposure(t testing.TB, unit string) float64 {
	t.Helper()
	out := m.Sh(t, "systemd-analyze security --no-pager "+unit)
	_, verdict, _ := strings.Cut(out, "Overall exposure level for "+unit+": ")
	number, _, _ := strings.Cut(verdict, " ")
	x, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatalf("systemd-analyze security prints no exposure level: %v\n%s", err, out)
	}
	return x
}

// Step runs one step of a test as a subtest. It ends the whole test when the step fails, because the next steps depend on
// it.
func Step(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	if !t.Run(name, f) {
		t.FailNow()
	}
}

// Poll waits until a condition holds that no event reports, and fails the test after a timeout.
func Poll(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience.For(EventTimeout)); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("waiting until %s took too long", what)
			return
		}
	}
}

// Lines returns the lines of an output that are not empty.
func Lines(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
}
