package main

import (
	"context"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/manage"
)

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
