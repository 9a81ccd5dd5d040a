package main

import (
	"context"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/manage"
)

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
