package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

type generateOptions struct {
	app     appFlags
	output  string
	systemd int
	cpus    int
}

func generateCommand(e *env) *cmdline.Command {
	var o generateOptions
	o.systemd = 252
	return &cmdline.Command{
		Name: "generate", Usage: "Print the units of an app, and change nothing",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name}}},
		Program:  cmdline.Must,
		Description: []string{"Prints the units that \"install\" would write for these flags. generate does not read " +
			"$PATH, so the program needs a full path. It works without systemd."},
		Examples: []string{"clusterctl generate hello --listen 8080 -i 4 -- /opt/hello/worker"},
		Flags: append(o.app.flags(), []cmdline.Flag{
			{Name: "output", Short: "o", To: &o.output, Takes: cmdline.Dir, Usage: "write the files into this directory instead"},
			{Name: "systemd-version", To: &o.systemd, Takes: "VERSION", Usage: "systemd version of the target machine"},
			cpusFlag(&o.cpus),
		}...),
		Run: bind(e, &o, runGenerate),
	}
}

// cpusFlag returns --cpus, a flag of commands that make units for another machine.
func cpusFlag(cpus *int) cmdline.Flag {
	*cpus = runtime.NumCPU()
	return cmdline.Flag{Name: "cpus", To: cpus, Takes: "N", Usage: "number of CPUs of the target machine, for -i max"}
}

func checkTarget(cpus, systemd int) error {
	switch {
	case cpus < 1:
		return fault.Usagef("--cpus must be at least 1")
	case systemd < units.OldestSystemd:
		return fault.Usagef("--systemd-version must be at least %d", units.OldestSystemd)
	}
	return nil
}

func runGenerate(_ context.Context, e *env, o generateOptions, in cmdline.Input) error {
	name := in.Args[0]
	if len(e.command) == 0 {
		return fault.WithHint(fault.Usagef("generate: missing program after --"),
			"clusterctl generate %s --listen 8080 -- /full/path/program", text.Shell(name))
	}
	if err := checkTarget(o.cpus, o.systemd); err != nil {
		return err
	}
	if err := e.expandEnv(&o.app, name); err != nil {
		return err
	}
	a, err := o.app.app(name, e.command)
	if err != nil {
		return err
	}
	if !o.app.noListen {
		if err := resolve.RequireListener(a); err != nil {
			return err
		}
	}
	if o.app.ready == "" && a.Activation == units.Native && len(a.Listen) > 0 {
		e.note("ready: exec (if the program sends READY=1, add --ready notify)")
	}
	t := units.Target{
		Systemd: o.systemd, Sizing: a.Instances.Resolve(units.CPUs{Affinity: o.cpus}), Shim: e.shim,
		Values: install.System().ValuesPath(a.Name),
	}
	for _, name := range a.SecretEnv {
		t.Secrets = append(t.Secrets, units.Secret{Name: name, Path: filepath.Join(install.System().SecretsDir(a.Name), name)})
	}
	set, err := units.Render(a, t)
	if err != nil {
		return err
	}
	if len(a.Env) > 0 {
		e.note("the units read the values of variables from %s (mode 0600)", install.System().ValuesPath(a.Name))
	}
	if o.output == "" {
		if data, _ := set.Get(a.Name.ValuesFile()); !bytes.Equal(data, mask.Values(data, nil)) {
			e.note("values that look secret are masked with stars; --output DIR writes the real values")
		}
		return e.printFiles("", set)
	}
	return writeFiles(o.output, set)
}

// printFiles prints each file like "systemctl cat": a comment with the path, then the text. Values that look secret are
// masked.
func (e *env) printFiles(dir string, set units.Set) error {
	var b bytes.Buffer
	for i, f := range set {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s\n%s", filepath.Join(dir, f.Path), mask.File(f.Path, f.Data))
		if !strings.HasSuffix(string(f.Data), "\n") {
			b.WriteByte('\n')
		}
	}
	_, err := e.stdout.Write(b.Bytes())
	return err
}

// writeFiles writes files into a directory. It never replaces a file, so --output /etc/systemd/system cannot overwrite a
// unit. After an error it removes the files that it has written.
func writeFiles(dir string, set units.Set) (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, p := range made {
				_ = os.Remove(p)
			}
		}
	}()
	for _, f := range set {
		path := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fault.WithHint(fmt.Errorf("creating %q: %w", filepath.Dir(path), fault.Cause(err)),
				"--output needs a directory that exists or can be created")
		}
		mode := os.FileMode(0o644)
		if filepath.Ext(path) == ".env" {
			mode = 0o600
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return fault.WithHint(fmt.Errorf("writing %q: %w", path, fault.Cause(err)), "--output needs an empty directory")
		}
		made = append(made, path)
		_, err = file.Write(f.Data)
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("writing %q: %w", path, fault.Cause(err))
		}
	}
	return nil
}
