package manage

import (
	"context"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
	"github.com/clusterctl/clusterctl/units/install"
)

// Machine is what the files of an app depend on: the version of systemd, and the CPUs that the app may use.
type Machine struct {
	Systemd int
	CPUs    units.CPUs
}

// Machine returns what the files of an app depend on here.
func (m *Manager) Machine(ctx context.Context, n units.Name) (on Machine, err error) {
	if on.Systemd, err = m.Conn.Version(ctx); err != nil {
		return on, err
	}
	on.CPUs, err = m.Conn.CPUs(ctx, n.Slice())
	return on, err
}

// Files are the files of an app on one machine.
type Files struct {
	App     units.App
	Machine Machine
	Target  units.Target
	Set     units.Set
	// Source is the description of the app, as clusterctl.yaml has it, without the values of variables.
	Source []byte
}

// Render returns the files of an app on this machine. Nothing is written.
func (m *Manager) Render(ctx context.Context, a units.App) (Files, error) {
	on, err := m.Machine(ctx, a.Name)
	if err != nil {
		return Files{}, err
	}
	return m.render(a, on)
}

func (m *Manager) render(a units.App, on Machine) (f Files, err error) {
	f = Files{App: a, Machine: on, Source: config.EncodeNames(a)}
	if f.Target, err = m.target(a, on); err != nil {
		return f, err
	}
	f.Set, err = units.Render(a, f.Target)
	return f, err
}

// Target returns what the units of an app are rendered for on this machine.
func (m *Manager) Target(ctx context.Context, a units.App) (units.Target, error) {
	on, err := m.Machine(ctx, a.Name)
	if err != nil {
		return units.Target{}, err
	}
	return m.target(a, on)
}

func (m *Manager) target(a units.App, on Machine) (units.Target, error) {
	t, err := m.Store.Target(a.Name, m.Shim)
	t.Systemd, t.Sizing = on.Systemd, a.Instances.Resolve(on.CPUs)
	return t, err
}

// Plan compares the files with those on disk.
func (m *Manager) Plan(f Files) (install.Plan, error) {
	return m.Store.Plan(f.App.Name, f.Set, f.Source)
}
