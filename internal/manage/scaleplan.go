package manage

import (
	"context"
	"slices"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// plan finds out what is to be written, started and stopped.
func (c *scale) plan(ctx context.Context, how Scaling) (install.Plan, error) {
	a, err := c.Current()
	if err != nil {
		return install.Plan{}, err
	}
	listed, err := c.Listed()
	if err != nil {
		return install.Plan{}, err
	}
	on, err := c.Machine(ctx, c.Name)
	if err != nil {
		return install.Plan{}, err
	}
	from := a.Instances.Today(on.CPUs, listed)
	if a.Instances, err = how.Count(c.Name, from); err != nil {
		return install.Plan{}, err
	}
	f, err := c.render(a, on)
	if err != nil {
		return install.Plan{}, err
	}
	r := c.result
	r.From, r.To, r.Count, c.after = from, f.Target.Sizing.Want, a.Instances.String(), f.Target.Sizing.Listed
	plan, err := c.planScale(f)
	if err != nil {
		return plan, err
	}
	r.Changed = plan.Changed()
	states, err := c.Conn.States(ctx, []string{c.Name.Service()})
	if err != nil {
		return plan, err
	}
	r.Running = states[0].Up() || states[0].Active == control.Activating
	if c.up, c.down = scaleSteps(from, r.To, listed); !r.Running {
		c.up = nil // those on the way down may have left something in /run
	}
	return plan, nil
}

// scaleSteps returns the instances to start, and those to stop, the last one first.
func scaleSteps(from, to, listed int) (up, down []int) {
	down = instances(to, max(listed, from))
	slices.Reverse(down)
	return instances(from, to), down
}

// planScale changes the instance list and the source. In the template it changes only the conditions by which instances follow
// the number of CPUs. A scale does not restart instances, so it keeps the template of an older clusterctl: otherwise a new
// sandbox would take effect at some later restart, without a command that reports it.
func (s *Session) planScale(f Files) (install.Plan, error) {
	whole, err := s.Plan(f)
	if err != nil {
		return install.Plan{}, err
	}
	for i, file := range f.Set {
		for _, c := range whole.Changes {
			switch {
			case c.Path != s.Store.SetPath(s.Name, file.Path) || c.Old == nil || file.Path == s.Name.DropIn():
			case file.Path == s.Name.Template():
				f.Set[i].Data = units.WithConditions(c.Old, c.New)
			default:
				f.Set[i].Data = c.Old
			}
		}
	}
	if s.publicValues(whole) {
		f.Source = config.Encode(f.App)
		for i, file := range f.Set {
			if file.Path == s.Name.ValuesFile() {
				f.Set[i] = units.File{Path: file.Path, Kept: true}
			}
		}
	}
	plan, err := s.Plan(f)
	plan.Scale = true
	return plan, err
}

// publicValues returns whether the template and the source have the values of the variables, as an older clusterctl wrote
// them. Only an install or an apply moves them to the values file.
func (s *Session) publicValues(whole install.Plan) bool {
	template, source := false, false
	for _, c := range whole.Changes {
		switch {
		case c.Path == s.Store.SetPath(s.Name, s.Name.Template()):
			files := units.ReadInstance(c.Old).EnvFiles
			template = c.Old != nil && !slices.Contains(files, units.EnvFile{Path: s.Store.ValuesPath(s.Name)})
		case c.Path == s.Store.ConfigPath(s.Name):
			// A hidden value must not get into this file, which everybody can read.
			apps, err := config.Decode(c.Path, c.Old)
			source = err == nil && len(apps) == 1 && len(apps[0].Env) > 0 &&
				!slices.ContainsFunc(apps[0].Env, func(v units.EnvVar) bool { return v.Hidden })
		}
	}
	return template && source
}
