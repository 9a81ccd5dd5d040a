package managetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// socketsOf returns the socket units that the service of an app requires.
func (s *Systemd) socketsOf(n units.Name) []string {
	for line := range strings.Lines(s.files[n.Service()]) {
		if names, ok := strings.CutPrefix(line, "Requires="); ok {
			return strings.Fields(names)
		}
	}
	return nil
}

// StartApp starts the sockets, the service and the instances of an app.
func (s *Systemd) StartApp(
	ctx context.Context, n units.Name, instances []int, _ control.Settling, progress func(control.Progress),
) error {
	for _, socket := range s.socketsOf(n) {
		if err := s.start(socket); err != nil {
			return err
		}
		if st := s.get(socket).state; !st.Up() {
			return &control.SocketError{Unit: socket, Reason: "it is not listening", State: st}
		}
	}
	if err := s.start(n.Service()); err != nil {
		return err
	}
	return s.StartInstances(ctx, n, instances, 0, 0, progress)
}

// StopApp stops all units of an app.
func (s *Systemd) StopApp(_ context.Context, n units.Name) error {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		app, _, err := units.ParseInstance(strings.TrimSuffix(name, ".service"))
		if err == nil && app == n || isSocket(name) && serviceOf(name, s.files[name]) == n.Service() {
			all = append(all, name)
		}
	}
	for _, name := range all {
		if err := s.stop(name); err != nil {
			return err
		}
	}
	return nil
}

// StartInstances starts instances one after the other. StartInstances returns after the first instance that fails.
func (s *Systemd) StartInstances(
	_ context.Context, n units.Name, instances []int, _, _ time.Duration, progress func(control.Progress),
) error {
	for _, i := range instances {
		if err := s.start(n.Instance(i)); err != nil {
			return err
		}
		if err := s.report(n, i, progress); err != nil {
			return err
		}
	}
	return nil
}

// The method report calls progress with the state of an instance, and returns an error if the instance is not up.
func (s *Systemd) report(n units.Name, i int, progress func(control.Progress)) error {
	st := s.get(n.Instance(i)).state
	p := control.Progress{Unit: st.Unit, Instance: i, Phase: control.Ready, State: st}
	switch {
	case st.Skipped():
		p.Phase = control.SkippedByCondition
	case !st.Up():
		p.Phase, p.Reason = control.Broken, "exited with status 1"
	}
	if progress != nil {
		progress(p)
	}
	if p.Phase == control.Broken {
		return &control.InstanceError{Unit: st.Unit, Instance: i, Reason: p.Reason, State: st}
	}
	return nil
}

// StopInstances stops instances.
func (s *Systemd) StopInstances(_ context.Context, n units.Name, instances []int) error {
	for _, i := range instances {
		if err := s.stop(n.Instance(i)); err != nil {
			return err
		}
	}
	return nil
}

// RestartInstances stops and starts instances.
func (s *Systemd) RestartInstances(
	ctx context.Context, n units.Name, instances []int, _ time.Duration, progress func(control.Progress),
) error {
	for _, i := range instances {
		if err := s.stop(n.Instance(i)); err != nil {
			return err
		}
		if err := s.StartInstances(ctx, n, []int{i}, 0, 0, progress); err != nil {
			return err
		}
	}
	return nil
}

// RollApp restarts the instances that are up, one after the other. RollApp runs o.Surge extra instances until all instances
// are restarted.
func (s *Systemd) RollApp(
	ctx context.Context, n units.Name, instances []int, o control.RollOptions, progress func(control.Progress),
) ([]control.Rolled, error) {
	rolled := make([]control.Rolled, 0, len(instances))
	for _, i := range instances {
		rolled = append(rolled, control.Rolled{Instance: i, Unit: n.Instance(i), State: s.get(n.Instance(i)).state})
	}
	var extra []int
	for k := range o.Surge {
		extra = append(extra, instances[len(instances)-1]+1+k)
	}
	if err := s.StartInstances(ctx, n, extra, 0, 0, progress); err != nil {
		return rolled, err
	}
	for k, i := range instances {
		r := &rolled[k]
		if r.State.Active == control.Inactive {
			r.Outcome, r.Reason = control.RollSkipped, "it is stopped"
			continue
		}
		err := s.RestartInstances(ctx, n, []int{i}, 0, progress)
		r.State = s.get(r.Unit).state
		if err != nil {
			r.Outcome, r.Reason = control.RollFailed, err.Error()
			return rolled, err
		}
		r.Outcome = control.RollReloaded
	}
	return rolled, s.StopInstances(ctx, n, extra)
}
