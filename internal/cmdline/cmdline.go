// Package cmdline reads command lines. Only this package uses the library cli v2. It moves flags in front of operands, as
// cli requires, translates commands and flags of PM2, prints usage errors and help in our own words, and prints candidates
// for the completion scripts of shells.
package cmdline

import (
	"context"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
)

// App is a program with commands.
type App struct {
	// Name is the word that users type. Usage is one line about the program.
	Name, Usage string
	// Description contains the paragraphs of the help text. A paragraph has no line breaks.
	Description []string
	// Flags are the flags that every command accepts.
	Flags    []Flag
	Commands []*Command
	// Before runs after the flags are parsed, and before the command runs.
	Before func()
	Stdout io.Writer
	// Width returns the number of columns of the terminal, or 0 if Stdout is not a terminal.
	Width func() int
	// StartsProgram returns true if "start OPERANDS" installs a program, as in PM2, and false if it starts an installed app.
	StartsProgram func(operands []string) bool
	// Machine provides the candidates for the completion of operands and values.
	Machine Machine
}

// Command is one command of an [App].
type Command struct {
	Name    string
	Aliases []string
	// Usage is one line about the command.
	Usage    string
	Operands []Operand
	// Program determines whether a program and its arguments may or must follow "--".
	Program Presence
	// Description contains the paragraphs of the help text. A paragraph has no line breaks.
	Description []string
	// Examples are whole command lines.
	Examples []string
	Flags    []Flag
	// Hidden means that the command is not for users. The help and the completion do not contain it.
	Hidden bool
	Run    func(context.Context, Input) error
}

// Input contains the arguments of a command. The values of its flags are in the variables of [Flag.To].
type Input struct {
	// Args contains the operands that the user typed. Program contains the words after "--".
	Args, Program []string
	// Flags contains the names of the flags that the user typed, in the order of [Command.Flags].
	Flags []string
}

// Given reports whether the user typed a flag.
func (in Input) Given(flag string) bool { return slices.Contains(in.Flags, flag) }

func (c *Command) names() []string { return append([]string{c.Name}, c.Aliases...) }

// SplitProgram splits args at the first "--" into our own arguments and the command of the user's program. Without "--",
// program is nil.
func SplitProgram(args []string) (own, program []string) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:]
	}
	return args, nil
}

// Run runs the command in args. args[0] is the name of the program, as in os.Args.
func (a *App) Run(ctx context.Context, args []string) error {
	own, program := SplitProgram(args)
	return a.library(own, program).RunContext(ctx, a.normalise(a.translate(own)))
}

// AddStandard adds the commands help and completion, and the hidden command for the completion scripts.
func (a *App) AddStandard() {
	a.Commands = append(a.Commands, completionCommand(a.Stdout), a.completeCommand(), a.helpCommand())
}

// Command returns the command with a name, or nil.
func (a *App) Command(name string) *Command {
	for _, c := range a.Commands {
		if slices.Contains(c.names(), name) {
			return c
		}
	}
	return nil
}

// flagsOf returns the flags of a command and the flags that every command accepts. If a flag of the command has the same
// name as a flag of all commands, it returns only the flag of the command.
func (a *App) flagsOf(cmd *Command) []Flag {
	replaced := func(f Flag) bool { return findFlag(cmd.Flags, f.Name) != nil }
	return slices.Concat(cmd.Flags, slices.DeleteFunc(slices.Clone(a.Flags), replaced))
}

// library converts the App to an App of cli. Each flag has only its long name, because normalise replaces the other names.
// The parameter typed is the original command line up to "--".
func (a *App) library(typed, program []string) *cli.App {
	out := &cli.App{
		Name: a.Name, HideHelp: true, HideVersion: true, Writer: a.Stdout, ErrWriter: io.Discard,
		// Without this handler, cli would print the error and exit. Our main function prints the error.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   a.usageError(nil, typed),
		Flags:          libraryFlags(a.Flags),
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return a.unknownCommand(name)
			}
			return a.help(nil)
		},
	}
	for _, cmd := range a.Commands {
		out.Commands = append(out.Commands, &cli.Command{
			Name: cmd.Name, Aliases: cmd.Aliases, HideHelp: true, Hidden: cmd.Hidden,
			OnUsageError: a.usageError(cmd, typed),
			// normalise moves the flags that every command accepts behind the command.
			Flags: libraryFlags(a.flagsOf(cmd)),
			Action: func(c *cli.Context) error {
				if a.Before != nil {
					a.Before()
				}
				in := Input{Program: program, Args: slices.DeleteFunc(c.Args().Slice(), func(s string) bool { return s == "--" })}
				for _, f := range cmd.Flags {
					if err := f.check(c.IsSet(f.Name)); err != nil {
						return err
					}
					if c.IsSet(f.Name) {
						in.Flags = append(in.Flags, f.Name)
					}
				}
				if err := a.checkOperands(cmd, in.Args); err != nil {
					return err
				}
				return cmd.Run(c.Context, in)
			},
		})
	}
	return out
}

// checkOperands returns an error if the number of operands is wrong.
func (a *App) checkOperands(cmd *Command, args []string) error {
	least := 0
	for least < len(cmd.Operands) && !cmd.Operands[least].Optional {
		least++
	}
	most := len(cmd.Operands)
	if slices.ContainsFunc(cmd.Operands, func(o Operand) bool { return o.Repeats }) {
		most = len(args)
	}
	switch {
	case len(args) < least:
		missing := cmd.Operands[len(args)]
		return fault.WithHint(fault.Usagef("%s: missing argument: %s", cmd.Name, missing.alternatives()), "%s", a.usageLine(cmd))
	case len(args) > most:
		return fault.WithHint(fault.Usagef("%s: unexpected argument %q", cmd.Name, args[most]), "%s", a.usageLine(cmd))
	}
	return nil
}

func (a *App) helpCommand() *Command {
	return &Command{
		Name: "help", Usage: "Show the help of the program or of one command",
		Operands: []Operand{{Forms: []Form{CommandName}, Optional: true}},
		Description: []string{`"clusterctl COMMAND --help" prints the same text. For a command of PM2, help explains the command of ` +
			`clusterctl that has the same meaning.`},
		Examples: []string{"clusterctl help install"},
		Run: func(_ context.Context, in Input) error {
			if len(in.Args) == 0 {
				return a.help(nil)
			}
			cmd := a.Command(a.ourCommand(in.Args[0]))
			if cmd == nil {
				return a.unknownCommand(in.Args[0])
			}
			return a.help(cmd)
		},
	}
}
