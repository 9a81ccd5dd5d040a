package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// instanceEnv is the environment of one instance, as "env --json" prints it (schema 1).
type instanceEnv struct {
	Unit     string `json:"unit"`
	Instance int    `json:"instance"`
	// Running: the variables are those of the process, and not those of the unit.
	Running   bool          `json:"running"`
	Variables []envVariable `json:"variables"`
	// Files are read at each start, by systemd or by the shim; what is in them is not among the variables of the unit.
	Files []envFile `json:"files"`
}

type envVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Masked: the value, or the password in it, is replaced by stars.
	Masked bool `json:"masked,omitempty"`
	// NeedsRoot: only root may know the value, which is "" here.
	NeedsRoot bool `json:"needs_root,omitempty"`
}

type envFile struct {
	Path     string `json:"path"`
	Optional bool   `json:"optional"`
	// ByWorker: the shim reads the file, as the user of the workers.
	ByWorker bool `json:"byWorker,omitempty"`
}

type envOptions struct{ asJSON, running, secrets bool }

func envCommand(e *env) *cmdline.Command {
	var o envOptions
	return &cmdline.Command{
		Name: "env", Usage: "Print the environment of instances",
		Operands: []cmdline.Operand{cmdline.Apps()},
		Description: []string{
			"Prints the variables of the app and of its unit with its drop-ins, and the files from which systemd reads more variables at " +
				"each start. Only root sees the values of the app's variables. For an app, one of its instances is shown.",
			"With --running, prints the environment with which the process was started. This needs root, and does not show variables " +
				"that the program sets for itself.",
			"Values of variables with secret names (PASSWORD, TOKEN, KEY, …), and passwords in URLs, are printed as stars, unless " +
				"--show-secrets is given.",
		},
		Examples: []string{"clusterctl env shop", "sudo clusterctl env shop@2 --running --show-secrets"},
		Flags: []cmdline.Flag{
			{Name: "running", To: &o.running, Usage: "print the environment of the running process, with its files"},
			{Name: "show-secrets", To: &o.secrets, Usage: "do not mask values that look secret"},
			jsonFlag(&o.asJSON),
		},
		Run: func(ctx context.Context, in cmdline.Input) error { return runEnv(ctx, e, in.Args, o) },
	}
}

func runEnv(ctx context.Context, e *env, args []string, o envOptions) error {
	targets, err := e.targets(args)
	if err != nil {
		return err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var all []instanceEnv
	for _, t := range targets {
		one, err := e.environment(ctx, conn, t, o)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	if o.asJSON {
		return e.printJSON(struct {
			Schema    int           `json:"schema"`
			Instances []instanceEnv `json:"instances"`
		}{status.SchemaVersion, all})
	}
	for i, one := range all {
		if len(all) > 1 {
			if i > 0 {
				fmt.Fprintln(e.stdout)
			}
			fmt.Fprintf(e.stdout, "# %s\n", one.Unit)
		}
		e.printEnv(one)
		if len(one.Variables)+len(one.Files) == 0 {
			e.note("%s has no variables set; --running shows those of the process", one.Unit)
		}
	}
	return nil
}

// environment of the instance that is named, or of the first of the app that will do.
func (e *env) environment(ctx context.Context, conn *control.Conn, t target, o envOptions) (instanceEnv, error) {
	numbers := numbers(t.listed)
	if t.instance > 0 {
		numbers = []int{t.instance}
	}
	var names []string
	for _, n := range numbers {
		names = append(names, t.app.Name.Instance(n))
	}
	if !o.running {
		names = names[:min(len(names), 1)]
	}
	states, err := conn.States(ctx, names)
	if err != nil {
		return instanceEnv{}, err
	}
	i := 0
	if o.running {
		if i = slices.IndexFunc(states, func(st control.State) bool { return st.MainPID > 0 }); i < 0 {
			return instanceEnv{}, fault.WithHint(fmt.Errorf("%s does not run, so no process has an environment", t), "clusterctl env %s", t)
		}
	}
	if len(states) == 0 {
		return instanceEnv{}, fmt.Errorf("%s has no instance", t)
	}
	one := instanceEnv{Unit: states[i].Unit, Instance: numbers[i], Running: o.running, Variables: []envVariable{}, Files: []envFile{}}
	vars := states[i].Environment
	secret := t.app.SecretEnv
	if o.running {
		if vars, err = e.host.Environ(states[i].MainPID); err != nil {
			return instanceEnv{}, environError(states[i].Unit, err)
		}
	} else {
		for _, f := range states[i].EnvFiles {
			if f.Path == e.store.ValuesPath(t.app.Name) {
				vars = one.described(t.app, vars)
				continue
			}
			one.Files = append(one.Files, envFile{Path: f.Path, Optional: f.Optional})
		}
		for _, f := range t.app.EnvFiles {
			if f.ByWorker {
				one.Files = append(one.Files, envFile{f.Path, f.Optional, true})
			}
		}
		for _, name := range secret {
			one.Variables = append(one.Variables, envVariable{Name: name, Value: mask.Stars, Masked: true})
		}
	}
	if !o.running && t.app.NeedsShim() {
		vars = launched(t.app, vars, numbers[i])
	}
	for _, v := range vars {
		shown := variable(v, o.secrets)
		if slices.Contains(secret, shown.Name) && !o.secrets {
			shown.Value, shown.Masked = mask.Stars, true
		}
		one.Variables = append(one.Variables, shown)
	}
	slices.SortStableFunc(one.Variables, func(a, b envVariable) int { return strings.Compare(a.Name, b.Name) })
	return one, nil
}

// described replaces variables of the unit by the variables of the values file, which win. It lists variables with a hidden
// value at once.
func (one *instanceEnv) described(a units.App, vars []string) []string {
	for _, v := range a.Env {
		vars = slices.DeleteFunc(vars, func(s string) bool { return strings.HasPrefix(s, v.Name+"=") })
		if v.Hidden {
			one.Variables = append(one.Variables, envVariable{Name: v.Name, NeedsRoot: true})
			continue
		}
		vars = append(vars, v.Name+"="+v.Value)
	}
	return vars
}

// launched returns the variables as the shim changes them before it starts the program of an instance.
func launched(a units.App, vars []string, instance int) []string {
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

func environError(unit string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has ended just now: %w", unit, err)
	}
	return fmt.Errorf("reading the environment of %s: %w", unit, err)
}

// variable splits NAME=VALUE, and masks a value that looks secret unless secrets are to be shown.
func variable(assignment string, secrets bool) envVariable {
	name, value, _ := strings.Cut(assignment, "=")
	v := envVariable{Name: name, Value: value}
	if !secrets {
		v.Value, v.Masked = mask.Value(name, value)
	}
	return v
}

// printEnv prints assignments as a shell would take them, and files as comments.
func (e *env) printEnv(one instanceEnv) {
	for _, f := range one.Files {
		may := ""
		if f.Optional {
			may = ", may be missing"
		}
		if f.ByWorker {
			may += ", as the user of the app"
		}
		fmt.Fprintf(e.stdout, "# and from %s (read at each start%s)\n", text.Printable(text.Shell(f.Path)), may)
	}
	for _, v := range one.Variables {
		if v.NeedsRoot {
			fmt.Fprintf(e.stdout, "# %s (needs root)\n", text.Printable(v.Name))
			continue
		}
		value := text.Shell(v.Value)
		if v.Masked && v.Value == mask.Stars {
			value = mask.Stars
		}
		if e.stdoutTTY {
			value = text.Printable(value)
		}
		fmt.Fprintf(e.stdout, "%s=%s\n", text.Printable(v.Name), value)
	}
}
