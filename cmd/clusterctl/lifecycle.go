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

// An action does the work of a command for one target. The session is open, and belongs to the app of the target.
type action func(context.Context, *manage.Session, target) error

// lifecycle adds operands, the flag --json and a Run function to a command, and returns the command. The Run function calls
// the function act for one target after the other. The parameter asJSON points to the value of --json, or is nil for a
// command without --json.
func lifecycle(e *env, cmd *cmdline.Command, asJSON *bool, act action) *cmdline.Command {
	cmd.Operands = append(cmd.Operands, cmdline.Apps())
	if asJSON != nil {
		cmd.Flags = append(cmd.Flags, rollJSONFlag(asJSON))
	}
	cmd.Run = func(ctx context.Context, in cmdline.Input) error {
		results, err := e.actOnEach(withoutHangup(ctx), in.Args, cmd.Name == "stop", act)
		return withResults(e, results, err, asJSON != nil && *asJSON)
	}
	return cmd
}

// actOnEach calls the function act for each target in args. It returns the results of the targets, or nil if an error
// prevents the first call. The parameter stop means that the function act stops instances.
func (e *env) actOnEach(ctx context.Context, args []string, stop bool, act action) ([]manage.AppResult, error) {
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

// withEngine calls the function do for each item like [inTurn], with one connection to systemd. It returns nil and an error
// if it cannot connect.
func withEngine[T, R any](ctx context.Context, e *env, items []T, do func(*manage.Manager, T) (R, error)) ([]R, error) {
	m, closeConn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn()
	return inTurn(ctx, items, func(item T) (R, error) { return do(m, item) })
}

// inTurn calls the function do for each item until the context ends. It returns the results and the joined errors of the
// calls.
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
	return s.RunCommand(ctx, t.instance, stop, func(ctx context.Context) error { return act(ctx, s, t) })
}

func settleFlag(settle *time.Duration) cmdline.Flag {
	*settle = manage.DefaultSettle
	return cmdline.Flag{Name: "settle", To: settle, Takes: "TIME", Usage: "how long every instance must stay alive"}
}

// If err is nil, noteDone prints a note about the target t, with the text done. It returns err.
func (e *env) noteDone(t target, done string, err error) error {
	if err == nil {
		e.note("%s: %s", t, done)
	}
	return err
}

// If err is nil, noteInstance prints a note that a job of an instance is done. It returns err. If err reports that a
// condition of the unit skipped the instance, it returns nil, unless the user named this instance.
func (e *env) noteInstance(t target, job string, err error) error {
	var skipped *manage.SkippedError
	if t.implied && errors.As(err, &skipped) {
		isSkipped := func(part error) bool { return errors.As(part, &skipped) }
		return errors.Join(slices.DeleteFunc(fault.Flatten(err), isSkipped)...)
	}
	return e.noteDone(t, job+" done", err)
}
