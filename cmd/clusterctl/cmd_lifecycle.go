package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
)

// action does the work of a command for one target. The session is open, and belongs to the app of the target.
type action func(context.Context, *manage.Session, target) error

// lifecycle adds operands, --json and Run to a command, and returns it. Run calls act for each target in turn. asJSON points
// to the value of --json. It is nil for a command without --json.
func lifecycle(e *env, cmd *cmdline.Command, asJSON *bool, act action) *cmdline.Command {
	cmd.Operands = append(cmd.Operands, cmdline.Apps())
	if asJSON != nil {
		cmd.Flags = append(cmd.Flags, rollJSONFlag(asJSON))
	}
	cmd.Run = func(ctx context.Context, in cmdline.Input) error {
		results, err := e.each(withoutHangup(ctx), in.Args, cmd.Name == "stop", act)
		return withResults(e, results, err, asJSON != nil && *asJSON)
	}
	return cmd
}

// each calls act for each target in args. It returns the results of the targets, or nil if an error prevents the first call.
// stop means that act stops instances.
func (e *env) each(ctx context.Context, args []string, stop bool, act action) ([]manage.AppResult, error) {
	targets, err := e.targets(args)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return []manage.AppResult{}, nil
	}
	return withEngine(ctx, e, targets, func(m *manage.Manager, t target) (manage.AppResult, error) {
		return e.actOn(ctx, m, t, stop, act)
	})
}

// withEngine calls do for each item like [inTurn], with one connection to systemd. It returns nil and an error if it cannot
// connect.
func withEngine[T, R any](ctx context.Context, e *env, items []T, do func(*manage.Manager, T) (R, error)) ([]R, error) {
	m, closeConn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn()
	return inTurn(ctx, items, func(item T) (R, error) { return do(m, item) })
}

// inTurn calls do for each item until the context ends. It returns the results, and the joined errors.
func inTurn[T, R any](ctx context.Context, items []T, do func(T) (R, error)) ([]R, error) {
	results, errs := []R{}, []error{}
	for _, item := range items {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		r, err := do(item)
		results, errs = append(results, r), append(errs, err)
	}
	return results, errors.Join(errs...)
}

func (e *env) actOn(ctx context.Context, m *manage.Manager, t target, stop bool, act action) (manage.AppResult, error) {
	started := e.now()
	s, err := m.Open(ctx, t.app.Name)
	if err != nil {
		return manage.NewAppResult(t.app.Name, nil, e.now().Sub(started), err), err
	}
	defer s.Close()
	return s.Act(ctx, t.instance, stop, func(ctx context.Context) error { return act(ctx, s, t) })
}

func settleFlag(settle *time.Duration) cmdline.Flag {
	*settle = manage.DefaultSettle
	return cmdline.Flag{Name: "settle", To: settle, Takes: "TIME", Usage: "how long every instance must stay alive"}
}

// noteDone prints done as a note about t if err is nil, and returns err.
func (e *env) noteDone(t target, done string, err error) error {
	if err == nil {
		e.note("%s: %s", t, done)
	}
	return err
}

// noteInstance prints a note that a job of an instance is done if err is nil, and returns err. It drops the error that a
// condition of the unit skipped the instance, unless the user named this instance.
func (e *env) noteInstance(t target, job string, err error) error {
	var skipped *manage.SkippedError
	if t.implied && errors.As(err, &skipped) {
		isSkipped := func(one error) bool { return errors.As(one, &skipped) }
		return errors.Join(slices.DeleteFunc(fault.Flatten(err), isSkipped)...)
	}
	return e.noteDone(t, job+" done", err)
}

func startCommand(e *env) *cmdline.Command {
	var settle time.Duration
	var asJSON bool
	cmd := lifecycle(e, &cmdline.Command{
		Name: "start", Usage: "Start apps or instances, or install a file",
		Description: []string{
			"Starts apps or instances that are installed, and waits until they are ready.",
			"With a FILE, start installs a program, as in PM2: \"clusterctl start app.js -i 4\" means \"clusterctl install " +
				"app.js -i 4\", and all flags of \"install\" can follow. If an installed app has the name of the file, the " +
				"app is started.",
		},
		Examples: []string{"sudo clusterctl start shop", "sudo clusterctl start app.js -i max"},
		Flags:    []cmdline.Flag{settleFlag(&settle)},
	}, &asJSON, func(ctx context.Context, s *manage.Session, t target) error {
		if t.instance > 0 {
			return e.noteInstance(t, "start", s.StartInstance(ctx, t.instance))
		}
		return e.noteDone(t, "started", s.Start(ctx, settle))
	})
	cmd.Operands[0].Forms = append(cmd.Operands[0].Forms, cmdline.File)
	return cmd
}

func stopCommand(e *env) *cmdline.Command {
	var asJSON bool
	return lifecycle(e, &cmdline.Command{
		Name: "stop", Usage: "Stop apps or instances until the next start or boot",
		Description: []string{"Stopping an app closes its port. The app stays enabled, so it starts at the next boot."},
		Examples:    []string{"sudo clusterctl stop shop"},
	}, &asJSON, func(ctx context.Context, s *manage.Session, t target) error {
		if t.instance > 0 {
			return e.noteInstance(t, "stop", s.StopInstance(ctx, t.instance))
		}
		return e.noteDone(t, "stopped", s.Stop(ctx))
	})
}

func restartCommand(e *env) *cmdline.Command {
	o := rollFlags{batch: 1} // for --rolling
	var rolling bool
	cmd := lifecycle(e, &cmdline.Command{
		Name: "restart", Usage: "Restart all instances of apps at once, and keep the port open",
		Description: []string{"New connections wait in the socket until the instances are back. To replace one instance after the " +
			"other, use --rolling or \"clusterctl reload\"."},
		Examples: []string{"sudo clusterctl restart shop"},
		Flags: []cmdline.Flag{
			settleFlag(&o.settle),
			{Name: "rolling", To: &rolling, Usage: "replace one instance after the other, like \"reload\""},
		},
	}, &o.asJSON, func(ctx context.Context, s *manage.Session, t target) error {
		if t.instance > 0 {
			return e.noteInstance(t, "restart", s.RestartInstance(ctx, t.instance))
		}
		return e.noteDone(t, "restarted", s.Restart(ctx, o.settle))
	})
	atOnce := cmd.Run
	cmd.Run = func(ctx context.Context, in cmdline.Input) error {
		if rolling {
			return runReload(ctx, e, o, in)
		}
		return atOnce(ctx, in)
	}
	return cmd
}

func resetCommand(e *env) *cmdline.Command {
	return lifecycle(e, &cmdline.Command{
		Name: "reset", Usage: "Reset the restart counters and restart delays of apps",
		Description: []string{"Running instances continue. An instance that gave up stays down until the next start."},
		Examples:    []string{"sudo clusterctl reset shop && sudo clusterctl start shop"},
	}, nil, func(ctx context.Context, s *manage.Session, t target) error {
		complete, err := s.ResetFailed(ctx, t.instance)
		if err == nil && !complete {
			// Only root can remove the files that store the delays.
			return e.noteDone(t, "reset, except the restart delays; \"clusterctl restart\" ends them", nil)
		}
		return e.noteDone(t, "reset", err)
	})
}
