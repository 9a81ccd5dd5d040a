package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// run is the program: arguments in, exit status out. Only here is an error printed.
func run(ctx context.Context, e *env, args []string) int {
	own, command, found := splitCommand(args)
	e.args, e.command, e.hasCommand = args, command, found
	app := newApp(e)
	app.Metadata[asTyped] = own
	started := e.now()
	err := app.RunContext(ctx, normalise(app, e.asPM2(app, own)))
	// Instances that a repair, or the undo of a change, had to kill.
	err = e.withKilled(ctx, units.App{}, err, started)
	err = withoutReader(err)
	var quiet quietError
	if errors.As(err, &quiet) {
		return quiet.code
	}
	if err != nil && !errors.Is(err, errWatchEnded) {
		if ctx.Err() != nil {
			err = interrupted(err)
		}
		e.report(err)
	}
	return exitCode(err)
}

// asTyped is the key of the command line in the app's metadata.
const asTyped = "typed"

// newApp is the command tree, and the index of this program. Each call makes fresh commands: nothing is shared.
func newApp(e *env) *cli.App {
	app := &cli.App{
		Metadata:    map[string]any{},
		Name:        "clusterctl",
		Usage:       "Run any program as N workers on one port, supervised by systemd",
		UsageText:   "clusterctl COMMAND [FLAGS] [-- PROGRAM ARGS...]",
		Description: "systemd supervises, the kernel balances, journald logs; nothing of clusterctl keeps running.\nsystemctl and journalctl work on everything it makes.\n\n" + exitStatus,
		HideVersion: true,
		// The library's help command exits by itself for an unknown topic.
		HideHelpCommand: true,
		// A comma belongs to the value: --env A=1,2 is one variable.
		DisableSliceFlagSeparator: true,
		Writer:                    e.stdout,
		ErrWriter:                 e.stderr,
		// cli would print errors and exit by itself; run does both.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   onUsageError,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing on stderr but errors", Destination: &e.quiet},
			&cli.BoolFlag{Name: "no-color", Usage: "no colours and no redrawn lines on a terminal, as NO_COLOR has it", Destination: &e.noColour},
			&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "the same as the command \"version\""},
		},
		Commands: []*cli.Command{
			installCommand(e), generateCommand(e), uninstallCommand(e),
			applyCommand(e), diffCommand(e), rollbackCommand(e),
			startCommand(e), stopCommand(e), restartCommand(e), reloadCommand(e), scaleCommand(e), signalCommand(e), resetCommand(e),
			rollCommand(e),
			lsCommand(e), showCommand(e), envCommand(e), secretCommand(e), logsCommand(e), flushCommand(e), catCommand(e), packageCommand(e), versionCommand(e), completionCommand(e), completeCommand(e), helpCommand(),
		},
		Before: func(*cli.Context) error {
			e.stderrTTY = e.stderrTTY && !e.noColour
			e.colours = e.colours && !e.noColour
			return nil
		},
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return unknownCommand(c.App, name)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, cmd := range app.Commands {
		finish(cmd)
	}
	return app
}

// finish gives every command what cli does not inherit.
func finish(cmd *cli.Command) {
	for _, f := range cmd.Flags {
		// A value is the user's, to the last blank: --env "A=b " is not A=b.
		if list, ok := f.(*cli.StringSliceFlag); ok {
			list.KeepSpace = true
		}
	}
	cmd.OnUsageError = onUsageError
	cmd.Before = noNegativeTimes
	cmd.HideHelpCommand = true
	cmd.Description = strings.TrimSpace(cmd.Description + "\n\n" + exitStatus)
}

func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "Show the help of the program or of one command", UsageText: "help [COMMAND]",
		Description: "\"clusterctl COMMAND --help\" is the same. Words of PM2 that mean the same are understood.\n\nEXAMPLE:\n   clusterctl help install",
		Action: func(c *cli.Context) error {
			args, err := operands(c, 0, 1, "")
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return cli.ShowAppHelp(c)
			}
			cmd := c.App.Command(args[0])
			if is := pm2Equivalent(args[0]); cmd == nil && is != nil {
				cmd = c.App.Command(is[0])
			}
			if cmd == nil {
				return unknownCommand(c.App, args[0])
			}
			return c.App.RunContext(c.Context, []string{c.App.Name, cmd.Name, "--help"})
		},
	}
}

// operands checks how many there are before a command begins; most < 0 means any number.
func operands(c *cli.Context, least, most int, what string) ([]string, error) {
	args := slices.DeleteFunc(c.Args().Slice(), func(s string) bool { return s == "--" })
	switch {
	case len(args) < least:
		return nil, fault.WithHint(fault.Usagef("%s: %s is missing", c.Command.Name, what), "clusterctl %s", c.Command.UsageText)
	case most >= 0 && len(args) > most:
		return nil, fault.WithHint(fault.Usagef("%s: %q is too much", c.Command.Name, args[most]), "clusterctl %s", c.Command.UsageText)
	}
	return args, nil
}
