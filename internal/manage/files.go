package manage

import (
	"context"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
)

// Machine has the properties of a machine on which the files of an app depend: the version of systemd and the CPUs that the
// app may use.
type Machine struct {
	Systemd int
	CPUs    units.CPUs
}

// machine returns the properties of this machine for an app.
func (m *Manager) machine(ctx context.Context, n units.Name) (here Machine, err error) {
	if here.Systemd, err = m.Conn.Version(ctx); err != nil {
		return here, err
	}
	here.CPUs, err = m.Conn.CPUs(ctx, n.Slice())
	return here, err
}

// Files are the files of an app on one machine.
type Files struct {
	App     units.App
	Machine Machine
	Target  units.Target
	Set     units.Set
	// Source is the description of the app in the format of clusterctl.yaml, without the values of variables.
	Source []byte
}

// Render returns the files of an app on this machine. It does not write them.
func (m *Manager) Render(ctx context.Context, a units.App) (Files, error) {
	here, err := m.machine(ctx, a.Name)
	if err != nil {
		return Files{}, err
	}
	return m.render(a, here)
}

func (m *Manager) render(a units.App, here Machine) (f Files, err error) {
	f = Files{App: a, Machine: here, Source: config.EncodeNames(a)}
	if f.Target, err = m.target(a, here); err != nil {
		return f, err
	}
	f.Set, err = units.Render(a, f.Target)
	return f, err
}

// Target returns the properties of this machine that the units of an app depend on.
func (m *Manager) Target(ctx context.Context, a units.App) (units.Target, error) {
	here, err := m.machine(ctx, a.Name)
	if err != nil {
		return units.Target{}, err
	}
	return m.target(a, here)
}

func (m *Manager) target(a units.App, here Machine) (units.Target, error) {
	t, err := m.Store.Target(a.Name, m.Shim)
	t.Systemd, t.Sizing = here.Systemd, a.Instances.Resolve(here.CPUs)
	return t, err
}

// Plan compares the files with the files on disk.
func (m *Manager) Plan(f Files) (install.Plan, error) {
	return m.Store.Plan(f.App.Name, f.Set, f.Source)
}
