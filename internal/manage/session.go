// Package manage installs, updates, scales, reloads and removes apps. Package manage uses package units/install to write the
// files of an app, and package units/control to start and stop its units. After an error, a command rolls the files and the
// units back.
//
// Each command has one [Manager], which opens a [Session] for each app. These rules apply to all commands:
//
//   - A change is all or nothing. After an error the app is as it was before, on disk and in systemd.
//   - Before the first change, a command writes its intent to the disk: a file with the planned changes. It removes the
//     intent after the last change. If the command is killed, the next [Manager.Open] finds the intent and repairs the app.
//   - New sockets and instances start before old ones stop, so that clients are served during an update, see [change.steps].
package manage

import (
	"context"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// Conn has the methods of [control.Conn] that a [Manager] uses.
type Conn interface {
	Version(ctx context.Context) (int, error)
	CPUs(ctx context.Context, slice string) (units.CPUs, error)
	UnitPaths(ctx context.Context) ([]string, error)

	States(ctx context.Context, units []string) ([]control.State, error)
	Loaded(ctx context.Context, patterns ...string) ([]string, error)

	Do(ctx context.Context, op control.Op, mode control.Mode, units ...string) ([]control.Outcome, error)
	Enable(ctx context.Context, units ...string) error
	Disable(ctx context.Context, units ...string) error
	Reload(ctx context.Context) error
	ResetFailed(ctx context.Context, units ...string) error
	Kill(ctx context.Context, unit string, signal syscall.Signal) error
	KillMain(ctx context.Context, unit string, signal syscall.Signal) error

	StartApp(ctx context.Context, name units.Name, instances []int, s control.Settling, progress func(control.Progress)) error
	StopApp(ctx context.Context, name units.Name) error
	StartInstances(
		ctx context.Context, name units.Name, instances []int, settle, limit time.Duration, progress func(control.Progress),
	) error
	StopInstances(ctx context.Context, name units.Name, instances []int) error
	RestartInstances(
		ctx context.Context, name units.Name, instances []int, settle time.Duration, progress func(control.Progress),
	) error
	RollApp(
		ctx context.Context, name units.Name, instances []int, o control.RollOptions, progress func(control.Progress),
	) ([]control.Rolled, error)
}

// Progress shows the user how many instances of an app have reached the requested state.
type Progress interface {
	Observe(p control.Progress)
	// End is called once, after the last Observe.
	End()
}

// Manager changes apps. Each command has its own Manager.
type Manager struct {
	Store *install.Store
	Conn  Conn
	Host  inspect.Host
	// Sockets returns the open sockets of the machine.
	Sockets func() (*inspect.Sockets, error)
	Now     func() time.Time
	// Shim is the path of clusterctl-shim.
	Shim string
	// Root is set if the caller is root. Other users can start units if polkit allows it, but can neither lock apps nor
	// write files.
	Root bool
	// Note prints a line for the user.
	Note func(format string, args ...any)
	// Progress starts a display of the progress of an operation. The parameter total is the number of
	// instances that the operation waits for.
	Progress func(app units.Name, total int) Progress
	// CheckPorts returns an error for each listener of the app whose address is in use.
	CheckPorts func(context.Context, units.App) error
	// Filter runs the program argv[0] with its arguments, writes input to its standard input, and returns its standard
	// output.
	Filter func(ctx context.Context, input []byte, argv ...string) ([]byte, error)
	// Tail returns the last n log lines of a unit since a time, from the journal of a namespace.
	Tail func(ctx context.Context, unit, namespace string, n int, since time.Time) ([]string, error)
	// Kills collects the instances that were killed during the command.
	Kills *Kills
}

// Session changes one app for a command. The app is locked until the call of [Session.Close].
type Session struct {
	*Manager
	Name units.Name

	lock      *install.Lock
	app       units.App
	appErr    error
	listed    int
	listedErr error
}

// Open locks, repairs and loads an app. The app need not be installed. If the caller is not root, Open only loads the app.
func (m *Manager) Open(ctx context.Context, n units.Name) (*Session, error) {
	return m.open(ctx, n, (*Session).repair)
}

// OpenInJob opens an app from a job of systemd. OpenInJob does not repair the app, because a repair may stop the app, and
// systemd would then kill this job. OpenInJob only stops extra instances, and the next command repairs the app.
func (m *Manager) OpenInJob(ctx context.Context, n units.Name) (*Session, error) {
	return m.open(ctx, n, (*Session).stopExtra)
}

func (m *Manager) open(ctx context.Context, n units.Name, repair func(*Session, context.Context) error) (*Session, error) {
	s := &Session{Manager: m, Name: n}
	if m.Root {
		var err error
		if s.lock, err = m.acquireLock(ctx, n); err != nil {
			return nil, err
		}
		if err := repair(s, ctx); err != nil {
			_ = s.Close()
			return nil, err
		}
	}
	s.app, s.appErr = m.Store.Load(n)
	s.listed, s.listedErr = m.Store.Listed(n)
	return s, nil
}

// acquireLock locks an app. If another command has locked the app, acquireLock prints a note and waits.
func (m *Manager) acquireLock(ctx context.Context, n units.Name) (*install.Lock, error) {
	return m.Store.Lock(ctx, n, func(o install.Owner) {
		if o.PID == 0 {
			m.Note("waiting for another clusterctl command on %s", n)
			return
		}
		m.Note("waiting for %q (pid %d), which has worked on %s for %s", o.Command, o.PID, n, text.Duration(m.Now().Sub(o.Since)))
	})
}

// Close unlocks the app, and removes the lock file if the app is not installed. A second call does nothing.
func (s *Session) Close() error {
	lock := s.lock
	s.lock = nil
	if lock == nil {
		return nil
	}
	if _, err := s.Store.Load(s.Name); hasType[*install.NotInstalledError](err) {
		return lock.Remove()
	}
	return lock.Unlock()
}

// RemoveUnusedLock removes the lock file if the app is not installed. An uninstall that was killed may have left the file.
// RemoveUnusedLock does not use the connection to systemd.
func (m *Manager) RemoveUnusedLock(ctx context.Context, n units.Name) {
	if lock, err := m.acquireLock(ctx, n); err == nil {
		s := &Session{Manager: m, Name: n, lock: lock}
		_ = s.Close()
	}
}

// Installed reports whether the app was installed when the session was opened. An app with damaged files counts as
// installed.
func (s *Session) Installed() bool { return !hasType[*install.NotInstalledError](s.appErr) }

// Current returns the installed app as Open has loaded it, or a [*install.NotInstalledError].
func (s *Session) Current() (units.App, error) { return s.app, s.appErr }

// Listed returns how many instances the app listed when the session was opened.
func (s *Session) Listed() (int, error) { return s.listed, s.listedErr }

// Wanted returns how many of the listed instances this machine can run. The number depends on its CPUs.
func (s *Session) Wanted(ctx context.Context) (int, error) {
	cpus, err := s.Conn.CPUs(ctx, s.Name.Slice())
	if err != nil {
		return 0, err
	}
	return s.app.Instances.Today(cpus, s.listed), nil
}

// Files has the files of an app on one machine.
type Files struct {
	App units.App
	// The field CPUs describes the CPUs that the app may use.
	CPUs   units.CPUs
	Target units.Target
	Set    units.Set
	// Source is the description of the app in the format of clusterctl.yaml, without the values of variables.
	Source []byte
}

// Render returns the files of an app for this machine. Render does not write files.
func (m *Manager) Render(ctx context.Context, a units.App) (f Files, err error) {
	f = Files{App: a, Source: config.EncodeNames(a)}
	if f.Target, f.CPUs, err = m.target(ctx, a); err != nil {
		return f, err
	}
	f.Set, err = units.Render(a, f.Target)
	return f, err
}

// Target returns the properties of this machine on which the units of an app depend.
func (m *Manager) Target(ctx context.Context, a units.App) (units.Target, error) {
	t, _, err := m.target(ctx, a)
	return t, err
}

func (m *Manager) target(ctx context.Context, a units.App) (t units.Target, cpus units.CPUs, err error) {
	if t, err = m.Store.Target(a.Name, m.Shim); err != nil {
		return t, cpus, err
	}
	if t.Systemd, err = m.Conn.Version(ctx); err != nil {
		return t, cpus, err
	}
	cpus, err = m.Conn.CPUs(ctx, a.Name.Slice())
	t.Sizing = a.Instances.Resolve(cpus)
	return t, cpus, err
}

// Plan returns the differences between the files f and the files on disk.
func (m *Manager) Plan(f Files) (install.Plan, error) {
	return m.Store.Plan(f.App.Name, f.Set, f.Source)
}

// instances returns the numbers from start+1 to end.
func instances(start, end int) []int {
	var list []int
	for i := start + 1; i <= end; i++ {
		list = append(list, i)
	}
	return list
}

func unitNames(n units.Name, list []int) []string {
	names := make([]string, 0, len(list))
	for _, i := range list {
		names = append(names, n.Instance(i))
	}
	return names
}
