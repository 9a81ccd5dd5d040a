package manage

import (
	"cmp"
	"context"
	"slices"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// The method plan returns the changes of files. It also sets the fields c.toStart, c.toStop and c.newListed, and the result.
func (c *scale) plan(ctx context.Context, how Scaling) (install.Plan, error) {
	a, listed := c.app, c.listed
	if err := cmp.Or(c.appErr, c.listedErr); err != nil {
		return install.Plan{}, err
	}
	cpus, err := c.Conn.CPUs(ctx, c.Name.Slice())
	if err != nil {
		return install.Plan{}, err
	}
	from := a.Instances.Today(cpus, listed)
	if a.Instances, err = how.Count(c.Name, from); err != nil {
		return install.Plan{}, err
	}
	f, err := c.Render(ctx, a)
	if err != nil {
		return install.Plan{}, err
	}
	r := c.result
	r.From, r.To, r.Count, c.newListed = from, f.Target.Sizing.Want, a.Instances.String(), f.Target.Sizing.Listed
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
	if c.toStart, c.toStop = scaleSteps(from, r.To, listed); !r.Running {
		c.toStart = nil // keep c.toStop, because stopped instances may have state in /run
	}
	return plan, nil
}

// scaleSteps returns the instances to start, and the instances to stop in descending order.
func scaleSteps(from, to, listed int) (up, down []int) {
	down = instances(to, max(listed, from))
	slices.Reverse(down)
	return instances(from, to), down
}

// planScale returns a plan that changes the instance list, the source, and the conditions on CPUs in the template. The plan
// does not change anything else in the template. A scale does not restart instances, so a change of the sandbox, for
// example, would take effect at a later restart, without a message.
func (s *Session) planScale(f Files) (install.Plan, error) {
	full, err := s.Plan(f)
	if err != nil {
		return install.Plan{}, err
	}
	for i, file := range f.Set {
		for _, c := range full.Changes {
			switch {
			case c.Path != s.Store.SetPath(s.Name, file.Path) || c.Old == nil || file.Path == s.Name.DropIn():
			case file.Path == s.Name.Template():
				f.Set[i].Data = units.WithConditions(c.Old, c.New)
			default:
				f.Set[i].Data = c.Old
			}
		}
	}
	if s.hasPublicValues(full) {
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

// hasPublicValues reports whether the values of variables are in the template and the source. Older versions of clusterctl
// wrote them there. A scale must leave these values there, because only an install or apply moves them to the values file.
func (s *Session) hasPublicValues(p install.Plan) bool {
	template := install.FileOf(p.Changes, units.KindTemplate).Old
	a, _ := s.decodeSource(install.FileOf(p.Changes, units.KindSource).Old)
	return template != nil && len(a.Env) > 0 &&
		!slices.Contains(units.ReadInstance(template).EnvFiles, units.EnvFile{Path: s.Store.ValuesPath(s.Name)}) &&
		// The caller may not read a hidden value, so config.Encode could not write it.
		!slices.ContainsFunc(a.Env, func(v units.EnvVar) bool { return v.Hidden })
}
