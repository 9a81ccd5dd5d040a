package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// demo runs commands on a machine, and records the apps, the actions and the first error. After an error, all methods do
// nothing.
type demo struct {
	ctx     context.Context
	m       *lab.Machine
	apps    []app
	actions []action
	err     error
}

// app is an installed app and its description.
type app struct{ name, what string }

// action describes what happened during a load, and contains the report of the load.
type action struct {
	what   string
	kills  int
	report load.Report
}

// files returns the files that are copied to the machine, as pairs of source and destination: the files of our package, and
// the programs of the apps.
func files(goWorker string) [][2]string {
	return [][2]string{
		{"bin/clusterctl", "/usr/bin/clusterctl"},
		{"bin/clusterctl-shim", "/usr/lib/clusterctl/clusterctl-shim"},
		{goWorker, "/opt/hello/go-worker"},
		{"activation/shim/nodepreload/clusterctl-node-preload.cjs", "/usr/lib/clusterctl/clusterctl-node-preload.cjs"},
		{"packaging/examples/node-hello/server.js", "/opt/web/server.js"},
		{"packaging/examples/node-fd/server.js", "/opt/node-fd/server.js"},
		{"packaging/examples/background/worker.py", "/opt/ticker/worker.py"},
	}
}

func (d *demo) prepare() error {
	dir, err := os.MkdirTemp("", "clusterctl-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	worker := filepath.Join(dir, "go-worker")
	build := exec.CommandContext(d.ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", worker, "./packaging/examples/go-worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the example worker: %w\n%s", err, out)
	}
	for _, f := range files(worker) {
		if err := copyInto(d.ctx, d.m, f[0], f[1]); err != nil {
			return err
		}
	}
	return nil
}

func copyInto(ctx context.Context, m *lab.Machine, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	cmd := m.Command(ctx, "install", "-D", "-m", "0755", "/dev/stdin", to)
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s: %w\n%s", to, err, out)
	}
	return nil
}

// The method heading prints a heading for the next commands.
func (d *demo) heading(format string, args ...any) {
	if d.err == nil {
		fmt.Printf("\n== "+format+"\n", args...)
	}
}

// sh prints a command, runs it on the machine and prints its output.
func (d *demo) sh(script string) {
	if d.err != nil {
		return
	}
	fmt.Printf("# %s\n", script)
	cmd := d.m.Command(d.ctx, "sh", "-c", script)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		d.err = fmt.Errorf("%s: %w", script, err)
	}
}

// The method install runs a command that installs an app, and records the app.
func (d *demo) install(name, what, script string) {
	d.sh(script)
	d.apps = append(d.apps, app{name, what})
}

// underLoad sends requests while the function do runs. The demo fails if AfterKills returns an error for the report.
func (d *demo) underLoad(what string, o load.Options, kills int, do func()) {
	if d.err != nil {
		return
	}
	o.Conns, o.Duration = clients, bound
	r, err := load.Begin(d.m, o)
	if err != nil {
		d.err = err
		return
	}
	do()
	report := r.Stop()
	d.actions = append(d.actions, action{what, kills, report})
	if err := report.AfterKills(kills); err != nil {
		fmt.Printf("load: %s\n", report)
		d.err = errors.Join(d.err, fmt.Errorf("%s: %w", what, err))
		return
	}
	fmt.Printf("load: %s\n", report.Summary())
}
