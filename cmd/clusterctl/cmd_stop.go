package main

import (
	"context"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/manage"
)

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
