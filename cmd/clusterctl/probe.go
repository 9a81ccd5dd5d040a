package main

import (
	"context"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// probe runs the program once, until it listens, and returns the addresses that it binds.
func (e *env) probe(ctx context.Context, s *manage.Session, a units.App, times resolve.Times) (r contract.Report, err error) {
	if err := s.CheckSecrets(a); err != nil {
		return r, err
	}
	if err := e.announceProbe(ctx, s, a, times.Limit); err != nil {
		return r, err
	}
	p, err := s.Probe(ctx, a, manage.ProbeTimes(times))
	if err != nil {
		return r, err
	}
	if err := resolve.Failure(p.Report, a, p.Unit); err != nil {
		return r, s.Explain(context.WithoutCancel(ctx), err, "", p.Started)
	}
	return p.Report, nil
}

// announceProbe notes what the probe will run. A program without a port, such as a queue consumer, does real work in the
// probe, and the probe kills it in the middle of the work.
func (e *env) announceProbe(ctx context.Context, s *manage.Session, a units.App, timeout time.Duration) error {
	running, err := s.Running(ctx)
	if err != nil {
		return err
	}
	e.note("probe: running %s once to see what it listens on, as %s, for at most %s", text.ShellLine(a.Command), runsAs(a),
		text.Duration(timeout))
	avoid := "--no-listen for a program without a port, or --no-probe with --listen PORT"
	if len(a.Listen) > 0 {
		avoid = "--no-probe"
	}
	e.note("probe: this is a real run, with the environment and the files of the app; to avoid it: %s", avoid)
	if running > 0 {
		e.note("probe: %s is already running (%s); this is one more run", a.Name, text.Count(running, "instance"))
	}
	return nil
}
