package manage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Surge returns how many extra instances the app itself asks for in a rolling reload.
func Surge(a units.App, listed int) int { return max(min(a.Surge, units.MaxInstances-listed), 0) }

// Reload replaces some instances of the app one after the other, or all if the list is nil. Where every instance has to be
// replaced, because the sockets were opened again, it replaces all of them.
func (s *Session) Reload(ctx context.Context, list []int, o control.RollOptions) ([]control.Rolled, error) {
	if _, err := s.Current(); err != nil {
		return nil, err
	}
	if _, err := s.Listed(); err != nil {
		return nil, err
	}
	replaced, err := s.heal(ctx)
	if err != nil {
		return nil, err
	}
	if replaced || list == nil {
		list = instances(0, s.listed) // after heal, the other instances have the old listener too
	} else {
		o.Surge = 0
	}
	return s.roll(ctx, s.app, list, o)
}

// ReloadInJob replaces the instances that systemd started the app with, in a job of systemd. The units may have been written by
// "generate", so that no app is installed.
func (s *Session) ReloadInJob(ctx context.Context, list []int, o control.RollOptions) ([]control.Rolled, error) {
	a, err := s.Current()
	if err != nil {
		a = units.App{Name: s.Name} // a damaged description does not matter to a reload
	}
	if err := s.healListening(ctx, a); err != nil {
		return nil, err
	}
	return s.roll(ctx, a, list, o)
}

// roll replaces instances, and adds to an error what is known of its cause.
func (s *Session) roll(ctx context.Context, a units.App, list []int, o control.RollOptions) ([]control.Rolled, error) {
	if err := s.CheckSecrets(a); err != nil {
		return nil, err
	}
	started := s.Now()
	rolled, err := s.rollSteps(ctx, list, o)
	if slices.ContainsFunc(rolled, func(one control.Rolled) bool { return one.State.NeedDaemonReload }) {
		s.Note("%s: its units have changed on disk, and systemd has not read them: sudo systemctl daemon-reload, then reload again", s.Name)
	}
	if err == nil {
		return rolled, nil
	}
	untouched := leftRunning(rolled)
	if untouched > 0 {
		s.Note("%s: the reload ends here; %s not touched and run on", s.Name, were(untouched))
	}
	if WasKilled(err) {
		s.Kills.report(err)
		more := ""
		if untouched > 0 {
			more = fmt.Sprintf("\nsudo clusterctl reload %s --force replaces the others all the same", s.Name)
		}
		return rolled, s.explainKilled(ctx, err, a, started, more)
	}
	return rolled, notReached(s.Explain(context.WithoutCancel(ctx), nobodyServes(a, rolled, o, err), a.LogNamespace(), started))
}

// rollSteps replaces the instances. Until that is done, it runs o.Surge extra instances.
func (s *Session) rollSteps(ctx context.Context, list []int, o control.RollOptions) (rolled []control.Rolled, err error) {
	last := list[len(list)-1]
	extra := instances(last, last+o.Surge)
	if s.Root {
		// The wait of an instance that crashed again and again before its next start is skipped.
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

// nobodyServes returns the error of a roll that has left the app without a worker, with what to type; any other error as it is.
func nobodyServes(a units.App, rolled []control.Rolled, o control.RollOptions, err error) error {
	var broken *control.InstanceError
	up := func(one control.Rolled) bool { return one.State.Up() && one.Outcome != control.RollFailed }
	if !errors.As(err, &broken) || slices.ContainsFunc(rolled, up) {
		return err
	}
	what := "no worker runs now"
	if len(a.Listen) > 0 {
		what = "no worker serves " + a.Listen[0].String() + " now"
	}
	hint := fmt.Sprintf("put the last release that worked back, then sudo clusterctl reload %s\n"+
		"sudo clusterctl rollback %[1]s, if it is the configuration that has changed", a.Name)
	if o.Surge == 0 {
		hint += fmt.Sprintf("\nsudo clusterctl reload %s --surge 1 (key surge) starts the new worker first, if two may run at once", a.Name)
	}
	return fault.WithHint(fmt.Errorf("%s: %s: %w", a.Name, what, err), "%s", hint)
}

// leftRunning returns how many instances run that a roll which ended early did not reach.
func leftRunning(rolled []control.Rolled) int {
	n := 0
	for _, one := range rolled {
		if one.Outcome == control.RollUntouched && one.State.Up() {
			n++
		}
	}
	return n
}

func were(n int) string {
	if n == 1 {
		return "1 instance was"
	}
	return fmt.Sprintf("%d instances were", n)
}

// ReloadByJob reloads the app as a job of systemd, for an operator whom polkit lets reload it: the job has the rights that it
// needs, and the lock. An app that is stopped has no results.
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
	var rolled []control.Rolled
	for _, i := range instances(0, s.listed) {
		rolled = append(rolled, compare(i, before[i], after[i], started))
	}
	err = jobError(outcomes[0], control.Reload)
	if err != nil && outcomes[0].Err == nil {
		err = fault.WithHint(err, "journalctl -u %s -n 20", service)
	}
	return rolled, notReached(err)
}

// RollResult returns the result of a rolling reload that began at that time, with the instances that it killed and the
// connections that it cut.
func (m *Manager) RollResult(n units.Name, rolled []control.Rolled, started time.Time, err error) AppResult {
	r := NewAppResult(n, rolled, m.Now().Sub(started), err)
	m.complete(&r, started)
	return r
}

// complete adds to a result the kills and the cut connections since the command began.
func (m *Manager) complete(r *AppResult, started time.Time) {
	m.Kills.mark(r.Instances)
	m.noteCuts(r.Name, started, r.Instances)
}
