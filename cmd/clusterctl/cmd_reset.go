package main

import (
	"context"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/manage"
)

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
