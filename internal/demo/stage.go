package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// stage is the machine and the first thing that went wrong on it; after that, nothing more is done.
type stage struct {
	ctx context.Context
	m   *lab.Machine
	err error
}

// files is what a user would have put on the machine: the package, and the apps.
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

func (s *stage) prepare() error {
	dir, err := os.MkdirTemp("", "clusterctl-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	worker := filepath.Join(dir, "go-worker")
	build := exec.CommandContext(s.ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", worker, "./packaging/examples/go-worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the example worker: %w\n%s", err, out)
	}
	for _, f := range files(worker) {
		if err := copyInto(s.ctx, s.m, f[0], f[1]); err != nil {
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

// say prints what comes next.
func (s *stage) say(format string, args ...any) {
	if s.err == nil {
		fmt.Printf("\n== "+format+"\n", args...)
	}
}

// sh shows a command as it would be typed, runs it on the machine and shows what it says.
func (s *stage) sh(script string) {
	if s.err != nil {
		return
	}
	fmt.Printf("# %s\n", script)
	cmd := s.m.Command(s.ctx, "sh", "-c", script)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		s.err = fmt.Errorf("%s: %w", script, err)
	}
}

// under sends load while the actions run, and holds the loss against what is allowed: requests that were in a worker, and
// none that was refused or not answered.
func (s *stage) under(o load.Options, atMost int, actions ...func()) {
	if s.err != nil {
		return
	}
	o.Duration = time.Minute
	r, err := load.Begin(s.m, o)
	if err != nil {
		s.err = err
		return
	}
	for _, act := range actions {
		act()
	}
	report := r.Stop()
	fmt.Printf("load:\n%s\n", report)
	if report.Failed() > atMost || report.Failed() > report.Broken() {
		s.err = errors.Join(s.err, fmt.Errorf("%d requests failed, at most %d may, and only with their worker", report.Failed(), atMost))
	}
}
