package manage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Surge returns how many extra instances a reload of the app runs, according to the key surge. The parameter listed is the
// number of listed instances.
func Surge(a units.App, listed int) int { return max(min(a.Surge, units.MaxInstances-listed), 0) }

// Reload replaces the instances in list one after the other. Reload replaces all instances if list is nil, or if a listener
// got a new socket.
func (s *Session) Reload(ctx context.Context, list []int, o control.RollOptions) ([]control.Rolled, error) {
	if err := cmp.Or(s.appErr, s.listedErr); err != nil {
		return nil, err
	}
	replaced, err := s.reopenListeners(ctx)
	if err != nil {
		return nil, err
	}
	if replaced || list == nil {
		list = instances(0, s.listed) // all instances still have the old listener
	} else {
		o.Surge = 0
	}
	return s.roll(ctx, s.app, list, o)
}

// ReloadInJob reloads the app from a job of systemd. The caller passes the numbers of all listed instances.
// The app need not be installed: "clusterctl generate" may have written its units.
func (s *Session) ReloadInJob(ctx context.Context, list []int, o control.RollOptions) ([]control.Rolled, error) {
	a, err := s.Current()
	if err != nil {
		a = units.App{Name: s.Name} // without the description, the name is enough for a reload
	}
	if err := s.ensureListening(ctx, a); err != nil {
		return nil, err
	}
	return s.roll(ctx, a, list, o)
}

// The method roll replaces the instances in list. It adds log lines and a hint to an error, and prints which instances were
// not replaced.
func (s *Session) roll(ctx context.Context, a units.App, list []int, o control.RollOptions) ([]control.Rolled, error) {
	if err := s.CheckSecrets(a); err != nil {
		return nil, err
	}
	started := s.Now()
	rolled, err := s.rollSteps(ctx, list, o)
	if slices.ContainsFunc(rolled, func(r control.Rolled) bool { return r.State.NeedDaemonReload }) {
		s.Note("%s: its units have changed on disk, but systemd has not read them: sudo systemctl daemon-reload, then reload again",
			s.Name)
	}
	if err == nil {
		return rolled, nil
	}
	remaining := countRemaining(rolled)
	if remaining > 0 {
		s.Note("%s: the reload stops here; still running without a reload: %s", s.Name, text.Count(remaining, "instance"))
	}
	if WasKilled(err) {
		s.Kills.setReported(err)
		more := ""
		if remaining > 0 {
			more = fmt.Sprintf("\nto reload the remaining instances anyway: sudo clusterctl reload %s --force", s.Name)
		}
		return rolled, s.explainKilled(ctx, err, a, started, more)
	}
	return rolled, notReached(s.Explain(context.WithoutCancel(ctx), explainOutage(a, rolled, o, err), a.LogNamespace(), started))
}

// rollSteps replaces the instances in list. rollSteps runs o.Surge extra instances until all instances are replaced.
func (s *Session) rollSteps(ctx context.Context, list []int, o control.RollOptions) (rolled []control.Rolled, err error) {
	last := list[len(list)-1]
	extra := instances(last, last+o.Surge)
	if s.Root {
		// Without this call, the shim would delay the start of the program after short runs.
		if err := s.Store.ForgetRuns(s.Name); err != nil {
			return nil, err
		}
	}
	if extra != nil {
		if err := s.Store.MarkExtra(s.Name, extra...); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.stopExtra(context.WithoutCancel(ctx))) }()
	}
	p := s.Progress(s.Name, len(list)+len(extra))
	defer p.End()
	return s.Conn.RollApp(ctx, s.Name, list, o, p.Observe)
}

// explainOutage returns err with a hint if no worker runs after a roll. Otherwise, explainOutage returns err unchanged.
func explainOutage(a units.App, rolled []control.Rolled, o control.RollOptions, err error) error {
	isUp := func(r control.Rolled) bool { return r.State.Up() && r.Outcome != control.RollFailed }
	if !hasType[*control.InstanceError](err) || slices.ContainsFunc(rolled, isUp) {
		return err
	}
	what := "no worker runs now"
	if len(a.Listen) > 0 {
		what = "no worker serves " + a.Listen[0].String() + " now"
	}
	hint := fmt.Sprintf("restore the last release that worked, then sudo clusterctl reload %s\n"+
		"sudo clusterctl rollback %[1]s, if the configuration was changed", a.Name)
	if o.Surge == 0 {
		hint += fmt.Sprintf("\nsudo clusterctl reload %s --surge 1 (key surge) starts the new worker first, if two may run at once", a.Name)
	}
	return fault.WithHint(fmt.Errorf("%s: %s: %w", a.Name, what, err), "%s", hint)
}

// countRemaining returns the number of running instances that a roll has not replaced, because the roll stopped early.
func countRemaining(rolled []control.Rolled) int {
	return len(slices.DeleteFunc(slices.Clone(rolled), func(r control.Rolled) bool {
		return r.Outcome != control.RollUntouched || !r.State.Up()
	}))
}

// ReloadByJob starts a reload job of systemd for the app and waits for it. The job runs as root, so an operator without root
// can reload the app if polkit allows the job. If the app is stopped, ReloadByJob does nothing.
func (s *Session) ReloadByJob(ctx context.Context) ([]control.Rolled, error) {
	service := s.Name.Service()
	names := append([]string{service}, unitNames(s.Name, instances(0, s.listed))...)
	before, err := s.Conn.States(ctx, names)
	if err != nil || !before[0].Up() {
		return nil, err
	}
	s.Note("%s: reloading, as a job of systemd", s.Name)
	started := s.Now()
	outcomes, err := s.Conn.Do(ctx, control.Reload, control.Fail, service)
	if err != nil {
		return nil, err
	}
	after, err := s.Conn.States(ctx, names)
	if err != nil {
		return nil, err
	}
	err = jobError(outcomes[0], control.Reload)
	if err != nil && outcomes[0].Err == nil {
		err = fault.WithHint(err, "journalctl -u %s -n 20", service)
	}
	return compareStates(before[1:], after[1:], started), notReached(err)
}

// RollResult returns the result of a command that replaced instances. RollResult marks killed instances and adds the
// connections that were cut.
func (m *Manager) RollResult(n units.Name, rolled []control.Rolled, started time.Time, err error) AppResult {
	r := NewAppResult(n, rolled, m.Now().Sub(started), err)
	m.complete(&r, started)
	return r
}

// The method complete marks the killed instances in a result, and adds the connections that were cut since the command
// started.
func (m *Manager) complete(r *AppResult, started time.Time) {
	m.Kills.mark(r.Instances)
	m.noteCuts(r.Name, started, r.Instances)
}
