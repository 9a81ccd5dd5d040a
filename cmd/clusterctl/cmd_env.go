package main

import (
	"context"
	"fmt"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
)

type envOptions struct{ asJSON, running, secrets bool }

func envCommand(e *env) *cmdline.Command {
	var o envOptions
	return &cmdline.Command{
		Name: "env", Usage: "Print the environment of instances",
		Operands: []cmdline.Operand{cmdline.Apps()},
		Description: []string{
			"Prints the variables in the configuration of the app, the variables in its unit and drop-ins, and the files " +
				"from which systemd reads more variables at each start. Only root can read the values in the " +
				"configuration. For an app, prints the environment of one of its instances.",
			"With --running, prints the environment with which the process was started, including variables from files. " +
				"--running needs root, and omits variables that the program itself sets.",
			"Values of variables with secret names (PASSWORD, TOKEN, KEY, …), and passwords in URLs, are printed as stars, unless " +
				"--show-secrets is given.",
		},
		Examples: []string{"clusterctl env shop", "sudo clusterctl env shop@2 --running --show-secrets"},
		Flags: []cmdline.Flag{
			{Name: "running", To: &o.running, Usage: "print the environment with which the process was started"},
			{Name: "show-secrets", To: &o.secrets, Usage: "do not mask values that look secret"},
			jsonFlag(&o.asJSON),
		},
		Run: bind(e, &o, runEnv),
	}
}

func runEnv(ctx context.Context, e *env, o envOptions, in cmdline.Input) error {
	targets, err := e.targets(in.Args)
	if err != nil {
		return err
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := e.collector(conn)
	var all []status.Environment
	for _, t := range targets {
		environment, err := c.Environment(ctx, status.Listed{App: t.app, Count: t.listed}, status.EnvironmentOptions{
			Instance: t.instance, Running: o.running, Secrets: o.secrets,
		})
		if err != nil {
			return err
		}
		all = append(all, environment)
	}
	if o.asJSON {
		return e.printList(list{Instances: all})
	}
	for i, environment := range all {
		if len(all) > 1 {
			if i > 0 {
				fmt.Fprintln(e.stdout)
			}
			fmt.Fprintf(e.stdout, "# %s\n", environment.Unit)
		}
		e.printEnv(environment)
		if len(environment.Variables)+len(environment.Files) == 0 {
			e.note("%s sets no variables; --running prints the environment of the process", environment.Unit)
		}
	}
	return nil
}

// printEnv prints variables as assignments of a shell, and files as comments.
func (e *env) printEnv(environment status.Environment) {
	for _, f := range environment.Files {
		reader, condition := "systemd", ""
		if f.ByWorker {
			reader = "the user of the app"
		}
		if f.Optional {
			condition = ", if the file exists"
		}
		fmt.Fprintf(e.stdout, "# %s reads more variables from %s at each start%s\n", reader, text.Printable(text.Shell(f.Path)), condition)
	}
	for _, v := range environment.Variables {
		if v.NeedsRoot {
			fmt.Fprintf(e.stdout, "# %s (needs root)\n", text.Printable(v.Name))
			continue
		}
		value := text.Shell(v.Value)
		if v.Masked && v.Value == mask.Stars {
			value = mask.Stars
		}
		if e.stdoutTTY {
			value = text.Printable(value)
		}
		fmt.Fprintf(e.stdout, "%s=%s\n", text.Printable(v.Name), value)
	}
}
