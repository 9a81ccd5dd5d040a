package status

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// Environment is the environment of one instance, as "env --json" prints it.
type Environment struct {
	Unit     string `json:"unit"`
	Instance int    `json:"instance"`
	// Running is set if the variables are from the process of the instance. If Running is not set, the variables are from
	// the unit.
	Running   bool       `json:"running"`
	Variables []Variable `json:"variables"`
	// Files has the environment files that systemd or the shim reads at each start. If Running is false, Variables does not
	// contain the variables in these files.
	Files []EnvironmentFile `json:"files"`
}

// Variable is an environment variable.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Masked is set if stars replace the value or a password in the value.
	Masked bool `json:"masked,omitempty"`
	// NeedsRoot is set if only root may read the value. Value is then "".
	NeedsRoot bool `json:"needs_root,omitempty"`
}

// EnvironmentFile is a file with variables.
type EnvironmentFile struct {
	Path     string `json:"path"`
	Optional bool   `json:"optional"`
	// ByWorker is set if the shim reads the file as the workers' user.
	ByWorker bool `json:"byWorker,omitempty"`
}

// EnvironmentOptions select an environment.
type EnvironmentOptions struct {
	// Instance is the number of the instance. 0 selects the first instance or, if Running is set, the first running
	// instance.
	Instance int
	// Running is set to select the environment of the process instead of the environment of the unit.
	Running bool
	// Secrets is set to show values that look secret, instead of masking them.
	Secrets bool
}

// Environment returns the environment of an instance of an app.
func (c *Collector) Environment(ctx context.Context, of Listed, o EnvironmentOptions) (Environment, error) {
	a := of.App
	st, number, err := c.instanceFor(ctx, of, o)
	if err != nil {
		return Environment{}, err
	}
	one := Environment{Unit: st.Unit, Instance: number, Running: o.Running, Variables: []Variable{}, Files: []EnvironmentFile{}}
	var vars []string
	if o.Running {
		vars, err = c.Host.Environ(st.MainPID)
		if errors.Is(err, fs.ErrNotExist) {
			return Environment{}, fmt.Errorf("%s has just ended: %w", st.Unit, err)
		}
		if err != nil {
			return Environment{}, fmt.Errorf("reading the environment of %s: %w", st.Unit, err)
		}
	} else {
		vars = one.unitVariables(a, st, c.Store.ValuesPath(a.Name))
		if a.NeedsShim() {
			vars = withShimVariables(a, vars, number)
		}
	}
	for _, assignment := range vars {
		name, value, _ := strings.Cut(assignment, "=")
		v := Variable{Name: name, Value: value}
		switch {
		case o.Secrets:
		case slices.Contains(a.SecretEnv, name):
			v.Value, v.Masked = mask.Stars, true
		default:
			v.Value, v.Masked = mask.Value(name, value)
		}
		one.Variables = append(one.Variables, v)
	}
	slices.SortStableFunc(one.Variables, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return one, nil
}

// instanceFor returns the state and the number of the instance that the options select.
func (c *Collector) instanceFor(ctx context.Context, a Listed, o EnvironmentOptions) (control.State, int, error) {
	first, last, name := 1, a.Count, string(a.App.Name)
	if o.Instance > 0 {
		first, last, name = o.Instance, o.Instance, fmt.Sprintf("%s@%d", a.App.Name, o.Instance)
	}
	if !o.Running {
		last = min(last, first)
	}
	var names []string
	for n := first; n <= last; n++ {
		names = append(names, a.App.Name.Instance(n))
	}
	states, err := c.Conn.States(ctx, names)
	if err != nil {
		return control.State{}, 0, err
	}
	i := 0
	if o.Running {
		i = slices.IndexFunc(states, func(st control.State) bool { return st.MainPID > 0 })
	}
	switch {
	case i < 0:
		err := fmt.Errorf("%s does not run, so no process has an environment", name)
		return control.State{}, 0, fault.WithHint(err, "clusterctl env %s", name)
	case len(states) == 0:
		return control.State{}, 0, fmt.Errorf("%s has no instance", name)
	}
	return states[i], first + i, nil
}

// unitVariables returns the variables of a unit and of the values file, each as NAME=VALUE. The parameter values is the path
// of the values file. unitVariables adds the other environment files to one.Files, and variables without a visible value to
// one.Variables.
func (one *Environment) unitVariables(a units.App, st control.State, values string) []string {
	vars := st.Environment
	for _, f := range st.EnvFiles {
		if f.Path == values {
			vars = one.withValuesFile(a, vars)
			continue
		}
		one.Files = append(one.Files, EnvironmentFile{Path: f.Path, Optional: f.Optional})
	}
	for _, f := range a.EnvFiles {
		if f.ByWorker {
			one.Files = append(one.Files, EnvironmentFile{f.Path, f.Optional, true})
		}
	}
	for _, name := range a.SecretEnv {
		one.Variables = append(one.Variables, Variable{Name: name, Value: mask.Stars, Masked: true})
	}
	return vars
}

// withValuesFile returns vars with the variables of the values file, which override variables with the same name.
// withValuesFile adds variables with hidden values to one.Variables instead.
func (one *Environment) withValuesFile(a units.App, vars []string) []string {
	for _, v := range a.Env {
		vars = slices.DeleteFunc(slices.Clone(vars), func(s string) bool { return strings.HasPrefix(s, v.Name+"=") })
		if v.Hidden {
			one.Variables = append(one.Variables, Variable{Name: v.Name, NeedsRoot: true})
			continue
		}
		vars = append(vars, v.Name+"="+v.Value)
	}
	return vars
}

// withShimVariables returns vars with the variables that the shim sets before it starts the program of an instance.
func withShimVariables(a units.App, vars []string, instance int) []string {
	set := func(name string, n int) {
		vars = slices.DeleteFunc(slices.Clone(vars), func(s string) bool { return strings.HasPrefix(s, name+"=") })
		vars = append(vars, fmt.Sprintf("%s=%d", name, n))
	}
	set(contract.InstanceVariable, instance)
	set(contract.NodeInstanceVariable, instance-1)
	for _, v := range a.Shim.Increment {
		i := slices.IndexFunc(vars, func(s string) bool { return strings.HasPrefix(s, v.Name+"=") })
		if i < 0 {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(vars[i], v.Name+"=")); err == nil {
			set(v.Name, n+instance-1)
		}
	}
	return vars
}
