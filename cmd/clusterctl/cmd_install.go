package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/units"
)

type installOptions struct {
	app          appFlags
	interpreter  resolve.Interpreter
	name         string
	dryRun       bool
	asJSON       bool
	noProbe      bool
	force        bool
	replace      bool
	consent      consent
	settle       time.Duration
	probeTimeout time.Duration
	// wholeProbe means that --probe-timeout was given. The probe of a program that opens no port then lasts until this
	// timeout, and not only until the program is idle.
	wholeProbe  bool
	givenSettle bool // --settle was given
	// The field seen holds the report of the probe, or nil without a probe.
	seen *contract.Report
}

func installCommand(e *env) *cmdline.Command {
	var o installOptions
	o.probeTimeout, o.settle = contract.ProbeTimeout, manage.DefaultSettle
	name := cmdline.Flag{
		Name: "name", Short: "n", To: &o.name, Takes: cmdline.Name, Group: groupCommon,
		Usage: "name of the app (default: made from the file name)",
	}
	return &cmdline.Command{
		Name: "install", Usage: "Install a program as N workers on one port, and start them",
		Operands: []cmdline.Operand{{Forms: []cmdline.Form{cmdline.File, cmdline.Directory, cmdline.Name}}},
		Program:  cmdline.May,
		Description: []string{
			"Writes the units of the app, enables and starts them, and waits until every instance is ready and has stayed " +
				"alive for --settle. If an instance does not start, clusterctl prints the reason and the last log lines of " +
				"the instance, and removes the app.",
			"If the app is already installed, it is updated to match the flags. An omitted flag resets to its default, " +
				"except --instances, and except --listen if the new command runs the same program. Only differences are " +
				"applied: instances are replaced one after the other while the port stays open. If the first new instance " +
				"does not start, the app is rolled back. \"clusterctl diff\" shows what would change.",
			"A FILE runs with the interpreter for its extension or first line. For a DIRECTORY, package.json names the " +
				"program. The words after -- are the arguments of the program. After a NAME, the program itself follows " +
				"--. A NAME without a program is an app in the clusterctl.yaml of this directory.",
			"Without --listen, clusterctl first runs the program once, with the user and the sandbox of the app, to find " +
				"the addresses that the program binds. clusterctl kills this process before the program serves a client.",
		},
		Examples: []string{
			"sudo clusterctl install child.js -i max",
			"sudo clusterctl install . --listen 80:3000",
			"sudo clusterctl install hello --listen 8080 -- /opt/hello/worker",
			"sudo clusterctl install web -i 4 --cwd /srv/web -- node server.js",
			"sudo clusterctl install queue --no-listen -i 2 -- python3 /srv/queue/worker.py",
		},
		Flags: slices.Concat(slices.Insert(o.app.flags(), 1, name), o.flags()),
		Run:   bind(e, &o, runInstall),
	}
}

// flags returns the flags of install that do not describe the app.
func (o *installOptions) flags() []cmdline.Flag {
	return slices.Concat(
		cmdline.Group(groupCommon, []cmdline.Flag{
			yesFlag(&o.consent.yes),
			{Name: "dry-run", To: &o.dryRun, Usage: "print the files that would be written, and change nothing"},
		}),
		cmdline.Group(groupProgram, []cmdline.Flag{
			{Name: "interpreter", To: &o.interpreter.Program, Takes: cmdline.Program, Usage: "program that runs the file, or none"},
			{Name: "interpreter-args", To: &o.interpreter.Args, Takes: "ARGS", Usage: "arguments of the interpreter, separated by blanks"},
			{Name: "node-args", To: &o.interpreter.NodeArgs, Takes: "ARGS", Usage: "arguments of Node, such as --max-old-space-size=512"},
		}),
		cmdline.Group(groupListen, []cmdline.Flag{
			{Name: "no-probe", To: &o.noProbe, Usage: "do not run the program to find its addresses"},
			{Name: "probe-timeout", To: &o.probeTimeout, Takes: "TIME",
				Usage: "how long the run without --listen waits until the program listens"},
		}),
		cmdline.Group(groupRun, []cmdline.Flag{settleFlag(&o.settle)}),
		[]cmdline.Flag{
			forceFlag(&o.force), replaceFlag(&o.replace),
			{Name: "json", To: &o.asJSON, Usage: "print the status of the app as JSON, like \"show --json\""},
		},
	)
}

func runInstall(ctx context.Context, e *env, o installOptions, in cmdline.Input) error {
	what := in.Args[0]
	o.wholeProbe, o.givenSettle = in.Given("probe-timeout"), in.Given("settle")
	if e.command == nil {
		a, found, err := e.resolver().Described(what)
		if err != nil {
			return err
		}
		if found {
			return installFromFile(ctx, e, o, a, in.Flags)
		}
	}
	return e.installProgram(ctx, o, what)
}

// installProgram installs the app that the flags, a file or a directory describe.
func (e *env) installProgram(ctx context.Context, o installOptions, what string) error {
	if err := e.refusePM2(what, e.command); err != nil {
		return err
	}
	r := e.resolver()
	inv, err := r.Invocation(what, e.command, o.interpreter)
	if err != nil {
		return err
	}
	if o.name != "" {
		inv.Name = o.name
	}
	if err := e.expandEnv(&o.app, inv.Name); err != nil {
		return err
	}
	a, err := o.app.app(inv.Name, inv.Command)
	if err != nil {
		return err
	}
	if a.Directory == "" {
		a.Directory = inv.Directory
	}
	if !o.dryRun {
		if err := e.needRoot(); err != nil {
			return err
		}
	}
	if a, err = r.App(resolve.Request{App: a, Given: o.app.givenFields(a)}); err != nil {
		return err
	}
	if err := a.Unprobed().Validate(); err != nil {
		return err
	}
	if now, err := e.store.Load(a.Name); err == nil && !o.replace && o.dryRun {
		if err := e.mayReplace(now, a, false); err != nil {
			return err
		}
	}
	var s *manage.Session
	closeApp := func() {}
	defer func() { closeApp() }()
	open := func() (err error) {
		if s == nil {
			s, closeApp, err = e.openApp(ctx, a, o.change())
		}
		return err
	}
	probe := func(ctx context.Context, a units.App, times resolve.Times) (contract.Report, error) {
		if err := open(); err != nil {
			return contract.Report{}, err
		}
		return e.probe(ctx, s, a, times)
	}
	if a, o.seen, err = r.Listeners(ctx, a, o.listenOptions(), probe); err != nil {
		return err
	}
	if o.dryRun {
		return e.dryRun(ctx, a)
	}
	if err := open(); err != nil {
		return err
	}
	return e.installAndPrint(ctx, s, a, o)
}

func (o installOptions) listenOptions() resolve.ListenOptions {
	times := resolve.Times{Limit: o.probeTimeout, Idle: contract.ProbeIdle}
	if o.wholeProbe {
		times.Idle = 0
	}
	return resolve.ListenOptions{
		None: o.app.noListen, NoProbe: o.noProbe, DryRun: o.dryRun, Times: times, Longer: o.wholeProbe,
		GivenDrain: o.app.drain != auto,
	}
}

// installFromFile installs an app of the clusterctl.yaml in this directory. The parameter givenFields contains the names of
// the flags on the command line.
func installFromFile(ctx context.Context, e *env, o installOptions, a units.App, givenFields []string) error {
	for _, flag := range givenFields {
		if !slices.Contains([]string{"dry-run", "settle", "json", "force", "replace", "yes"}, flag) {
			return fault.WithHint(
				fault.Usagef("--%s cannot be used for %s, which %s describes", flag, a.Name, resolve.DefaultFile),
				"change the file, or write the program after --")
		}
	}
	if !o.dryRun {
		if err := e.needRoot(); err != nil {
			return err
		}
	}
	var err error
	if o.consent.file, err = e.resolver().Absolute(resolve.DefaultFile); err != nil {
		return err
	}
	if err := e.mayDescribe(e.guard().Preview(a), o.consent); err != nil {
		return err
	}
	if a, err = e.resolver().App(resolve.Request{App: a, Given: resolve.AllGiven()}); err != nil {
		return err
	}
	if o.dryRun {
		return e.dryRun(ctx, a)
	}
	s, closeApp, err := e.openApp(ctx, a, o.change())
	if err != nil {
		return err
	}
	defer closeApp()
	return e.installAndPrint(ctx, s, a, o)
}

func (o installOptions) change() changeOptions {
	c := changeOptions{
		InstallOptions: manage.InstallOptions{Settle: o.settle, Watch: !o.givenSettle, Force: o.force, Start: true},
		replace:        o.replace, consent: o.consent,
	}
	if o.seen != nil {
		c.Seen = &manage.ProbeFindings{Bound: len(o.seen.Binds) > 0, Failed: resolve.Failed(*o.seen)}
	}
	return c
}

// installAndPrint installs the app, and prints how it runs.
func (e *env) installAndPrint(ctx context.Context, s *manage.Session, a units.App, o installOptions) error {
	f, err := s.Render(ctx, a)
	if err != nil {
		return err
	}
	out, installErr := e.change(ctx, s, f, o.change())
	if installErr != nil && !(out.Action == manage.Updated && manage.WasKilled(installErr)) && (!o.asJSON || out.RunState == nil) {
		return installErr
	}
	if o.asJSON {
		all, err := e.show(ctx, []string{string(a.Name)})
		if err != nil {
			return err
		}
		all[0].PerCPU, all[0].NewerFiles = couldRun(f), out.Newer()
		return errors.Join(installErr, e.printJSON(all[0]))
	}
	if out.Action == manage.Unchanged {
		fmt.Fprintf(e.stdout, "%s: nothing has changed, %d/%d ready\n", a.Name, out.Ready, out.Wanted)
		if e.noteNewer(a.Name, out.NewerFiles); len(out.NewerFiles) == 0 {
			e.note("if the program has changed: sudo clusterctl reload %s", a.Name)
		}
		return nil
	}
	if out.Action == manage.Created && len(a.Listen) == 0 {
		e.noteOwnListeners(a.Name, s.OwnListeners(ctx, a, f.Target.Sizing.Listed))
	}
	return errors.Join(installErr, e.announce(f, out))
}

func forceFlag(force *bool) cmdline.Flag {
	return cmdline.Flag{Name: "force", To: force, Usage: "overwrite edited units; continue after a worker had to be killed"}
}

func yesFlag(yes *bool) cmdline.Flag {
	return cmdline.Flag{Name: "yes", Short: "y", To: yes, Usage: "do not ask before an app gets more rights"}
}
