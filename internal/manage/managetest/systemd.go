// Package managetest simulates systemd in memory, for fast tests of package manage.
//
// Like PID 1, [Systemd] reads unit files from directories at a reload. It changes the states of units, but starts no
// processes. It also records its steps. A test can make each step fail.
package managetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Systemd simulates systemd. Only one goroutine may use a Systemd.
type Systemd struct {
	// Dirs has the directories with unit files. The first directory also has the links of enabled units.
	Dirs []string
	// The field Release is the simulated version of systemd, and the field CPU has the simulated CPUs.
	Release int
	CPU     units.CPUs
	// Fault is called before each step, unless Fault is nil. The parameter number is 1 for the first step. If Fault returns
	// an error, the step has no effect. If Fault panics, the test simulates a kill of the process.
	Fault func(number int, step string) error
	// Broken reports whether an instance with this template fails to start. Broken may be nil.
	Broken func(instance int, template string) bool
	// Steps has all steps since the call of New.
	Steps []string

	clock time.Time
	files map[string]string // contents of unit files at the last reload; the keys are paths relative to a directory in Dirs
	units map[string]*unit
}

// unit is a unit in the memory of PID 1.
type unit struct {
	state control.State
	// The field started has the result of the method content at the start of the unit. For a socket, this is the list of
	// open addresses.
	started string
}

// New returns a systemd that has read the unit files in the directories.
func New(dirs ...string) *Systemd {
	s := &Systemd{
		Dirs: dirs, Release: 252, CPU: units.CPUs{Affinity: 4}, clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		units: map[string]*unit{},
	}
	s.readFiles()
	return s
}

// Now returns the time, which advances by a second with each call.
func (s *Systemd) Now() time.Time {
	s.clock = s.clock.Add(time.Second)
	return s.clock
}

// The method step records a step, and returns the error of Fault.
func (s *Systemd) step(format string, args ...any) error {
	s.Steps = append(s.Steps, fmt.Sprintf(format, args...))
	if s.Fault == nil {
		return nil
	}
	return s.Fault(len(s.Steps), s.Steps[len(s.Steps)-1])
}

// Up returns a sorted line for each unit that is up, and a line for each unit that starts at boot. The line of a unit that
// is up has a hash of the file with which the unit was started, so that a test sees whether the unit has an old
// configuration.
func (s *Systemd) Up() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		if u := s.units[name]; u.state.Up() {
			list = append(list, fmt.Sprintf("%s %.4x", name, sha256.Sum256([]byte(u.started))))
		}
	}
	links, _ := filepath.Glob(filepath.Join(s.Dirs[0], "*.wants", "*"))
	for _, link := range links {
		list = append(list, filepath.Base(link)+" starts at boot")
	}
	return list
}

// Outdated returns the units that are up and whose unit file has changed since their start. Outdated also returns the active
// sockets that PID 1 has closed.
func (s *Systemd) Outdated() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		if u := s.units[name]; u.state.Up() && u.started != s.content(name) {
			list = append(list, name)
		}
	}
	return list
}

// Version returns the simulated version of systemd.
func (s *Systemd) Version(context.Context) (int, error) { return s.Release, s.step("version") }

// CPUs returns the simulated CPUs.
func (s *Systemd) CPUs(context.Context, string) (units.CPUs, error) { return s.CPU, s.step("cpus") }

// UnitPaths returns the directories with unit files.
func (s *Systemd) UnitPaths(context.Context) ([]string, error) { return s.Dirs, s.step("unit paths") }

// States returns the states of units.
func (s *Systemd) States(_ context.Context, names []string) ([]control.State, error) {
	if err := s.step("states"); err != nil {
		return nil, err
	}
	list := make([]control.State, 0, len(names))
	for _, name := range names {
		st := s.get(name).state
		if _, err := os.Lstat(filepath.Join(s.Dirs[0], "multi-user.target.wants", name)); err == nil {
			st.FileState = "enabled"
		}
		list = append(list, st)
	}
	return list, nil
}

// Loaded returns the units in memory that match a pattern, but omits inactive units that no other unit wants.
func (s *Systemd) Loaded(_ context.Context, patterns ...string) ([]string, error) {
	if err := s.step("loaded"); err != nil {
		return nil, err
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		isMatch := func(pattern string) bool { ok, _ := filepath.Match(pattern, name); return ok }
		if (s.units[name].state.Active != control.Inactive || s.isWanted(name)) && slices.ContainsFunc(patterns, isMatch) {
			list = append(list, name)
		}
	}
	return list, nil
}

// The method Do starts or stops units. It ignores the parameter mode and the dependencies of the units.
func (s *Systemd) Do(_ context.Context, op control.Op, mode control.Mode, names ...string) ([]control.Outcome, error) {
	list := make([]control.Outcome, 0, len(names))
	for _, name := range names {
		o := control.Outcome{Unit: name, Result: control.Done}
		var err error
		switch {
		case s.get(name).state.Load == control.NotFound && (op == control.Start || s.get(name).state.Active == control.Inactive):
			o.Result, o.Err = control.NoResult, control.ErrNotFound
		case op == control.Start:
			err = s.start(name)
		case op == control.Stop:
			err = s.stop(name)
		default:
			err = s.step("%s %s", op, name)
		}
		if err != nil {
			return nil, err
		}
		if st := s.get(name).state; op == control.Start && o.Err == nil && !st.Up() && !st.Skipped() {
			o.Result = control.Failed
		}
		list = append(list, o)
	}
	return list, nil
}

// Enable creates the links that start units at boot.
func (s *Systemd) Enable(_ context.Context, names ...string) error {
	for _, name := range names {
		if err := s.step("enable %s", name); err != nil {
			return err
		}
		link := filepath.Join(s.Dirs[0], "multi-user.target.wants", name)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join("..", name), link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// Disable removes the links that start units at boot.
func (s *Systemd) Disable(_ context.Context, names ...string) error {
	for _, name := range names {
		if err := s.step("disable %s", name); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(s.Dirs[0], "multi-user.target.wants", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Reload reads the unit files.
func (s *Systemd) Reload(context.Context) error {
	if err := s.step("reload"); err != nil {
		return err
	}
	s.readFiles()
	return nil
}

// ResetFailed makes failed units inactive.
func (s *Systemd) ResetFailed(_ context.Context, names ...string) error {
	if err := s.step("reset"); err != nil {
		return err
	}
	for _, name := range names {
		if u := s.get(name); u.state.Active == control.ActiveFailed {
			u.state.Active, u.state.Result = control.Inactive, "success"
		}
	}
	return nil
}

// Kill only records a step.
func (s *Systemd) Kill(_ context.Context, name string, sig syscall.Signal) error {
	return s.step("kill %s %d", name, sig)
}

// KillMain only records a step.
func (s *Systemd) KillMain(_ context.Context, name string, sig syscall.Signal) error {
	return s.step("kill %s %d", name, sig)
}
