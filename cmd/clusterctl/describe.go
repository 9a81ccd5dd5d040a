package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// appFlags are the flags that describe an app; install and generate share them.
type appFlags struct {
	instances, activation, ready, restart, sandbox string
	drain                                          string
	runAs, directory                               string
	listen, env, envFiles, writable, trust         cli.StringSlice
	reads, allow, secretEnv                        cli.StringSlice
	noListen                                       bool
	startTimeout, drainTimeout, stopTimeout        time.Duration
	minUptime                                      time.Duration
	surge                                          int
	increment                                      cli.StringSlice
	pin, noNodePreload, ownPtrace                  bool
	maxRestarts                                    int
	logNamespace                                   bool
	logMaxSize, logMaxAge, logRate                 string
	socketMode, socketUser, socketGroup            string
}

func (f *appFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "instances", Aliases: []string{"i"}, Destination: &f.instances, Action: notEmpty("instances"),
			Usage: "`N`, max (one per CPU), 0 (the same), -1 (one CPU left free) or 50%; default: 1"},
		&cli.StringSliceFlag{Name: "listen", Aliases: []string{"l"}, Destination: &f.listen,
			Usage: "`ADDR` that the workers share: 8080, 127.0.0.1:8080, [::1]:8080, /run/x.sock, udp:5353, name=8080; may repeat"},
		&cli.StringFlag{Name: "socket-mode", Destination: &f.socketMode, Usage: "octal `MODE` of the Unix sockets; default 0660"},
		&cli.StringFlag{Name: "socket-user", Destination: &f.socketUser, Usage: "`USER` who owns the Unix sockets; default: the workers' user"},
		&cli.StringFlag{Name: "socket-group", Destination: &f.socketGroup, Usage: "`GROUP` that may connect, such as www-data for nginx"},
		&cli.BoolFlag{Name: "no-listen", Destination: &f.noListen, Usage: "a background app, without a socket"},
		&cli.StringFlag{Name: "activation", Value: activationAuto, Destination: &f.activation,
			Usage: "`HOW` a worker gets its listeners: native (it takes the inherited ones itself), adopt (it binds as ever, and the shim answers), or auto (native for a Go program built with our activation package, else adopt)"},
		&cli.StringFlag{Name: "ready", Destination: &f.ready,
			Usage: "`WHAT` makes an instance count as started: notify (it says READY=1) or exec; found out by looking at the program if not given"},
		&cli.StringFlag{Name: "run-as", Destination: &f.runAs,
			Usage: "`USER[:GROUP]` of the workers, or dynamic; the owner of the directory if not given, a dynamic user if that is root"},
		&cli.StringFlag{Name: "cwd", Destination: &f.directory, Usage: "working `DIR`ectory; this one if not given"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Destination: &f.env, Usage: "`K=V` for the workers; NAME: from here; -: lines of stdin; may repeat"},
		&cli.StringSliceFlag{Name: "env-file", Destination: &f.envFiles, Usage: "`FILE` of variables, read at each start; -FILE may be missing; may repeat"},
		&cli.StringSliceFlag{Name: "trust", Destination: &f.trust, Usage: "`USER` who may change files that root reads for the app; may repeat"},
		&cli.StringSliceFlag{Name: "secret-env", Destination: &f.secretEnv, Usage: "`NAME` of a secret to put into a variable; may repeat"},
		&cli.StringFlag{Name: "restart", Value: "always", Destination: &f.restart, Usage: "`WHEN` a worker has ended: always, on-failure or no"},
		&cli.StringFlag{Name: "sandbox", Value: "default", Destination: &f.sandbox, Usage: "`HOW` much of the machine is hidden: default, strict or off"},
		&cli.StringSliceFlag{Name: "rw", Destination: &f.writable, Usage: "`PATH` that the sandboxed workers may write to; may repeat"},
		&cli.StringSliceFlag{Name: "ro", Destination: &f.reads, Usage: "`PATH` in a home that the sandboxed workers may read; may repeat"},
		&cli.StringSliceFlag{Name: "allow", Destination: &f.allow,
			Usage: "`WORD` for a part of the sandbox to leave out: " + strings.Join(allowWords(), ", ") + "; may repeat"},
		&cli.StringSliceFlag{Name: "increment", Destination: &f.increment, Usage: "`VAR=N`umber: a variable that is N in the first instance, N+1 in the second; may repeat"},
		&cli.BoolFlag{Name: "pin", Destination: &f.pin, Usage: "one CPU for each instance"},
		&cli.DurationFlag{Name: "min-uptime", Value: defaultMinUptime, Destination: &f.minUptime, Usage: "`TIME` after which a run is not a short one; after short runs, restarts wait longer and longer"},
		&cli.IntFlag{Name: "max-restarts", Destination: &f.maxRestarts, Usage: "give an instance up after `N` restarts of short runs in a row; 0 is never"},
		&cli.StringFlag{Name: "drain", Value: drainAuto, Destination: &f.drain,
			Usage: "`HOW` a worker is emptied before it is stopped: epoll (from outside), accept (the same for programs that wait in accept), off (the program does it on SIGTERM), or auto"},
		&cli.BoolFlag{Name: "no-node-preload", Destination: &f.noNodePreload, Usage: "leave NODE_OPTIONS alone"},
		&cli.BoolFlag{Name: "own-ptrace", Destination: &f.ownPtrace, Usage: "let the shim read forked children under Yama (CAP_SYS_PTRACE)"},
		&cli.BoolFlag{Name: "log-namespace", Destination: &f.logNamespace, Usage: "a journal of the app's own, with limits of its own (one more journald)"},
		&cli.StringFlag{Name: "log-max-size", Destination: &f.logMaxSize, Usage: "`SIZE` of that journal, such as 500M; the oldest lines are removed first"},
		&cli.StringFlag{Name: "log-max-age", Destination: &f.logMaxAge, Usage: "`AGE` of lines in that journal, such as 30d, after which they are removed"},
		&cli.StringFlag{Name: "log-rate", Destination: &f.logRate, Usage: "drop and count the log lines of an instance beyond `LINES/TIME`, or off"},
		&cli.DurationFlag{Name: "start-timeout", Value: units.DefaultStartTimeout, Destination: &f.startTimeout, Usage: "`TIME` from start to ready"},
		&cli.DurationFlag{Name: "drain-timeout", Value: units.DefaultDrainTimeout, Destination: &f.drainTimeout, Usage: "`TIME` that a stopping worker may go on answering"},
		&cli.DurationFlag{Name: "stop-timeout", Value: units.DefaultStopTimeout, Destination: &f.stopTimeout, Usage: "`TIME` from the stop signal until a worker is killed"},
		&cli.IntFlag{Name: "surge", Destination: &f.surge, Usage: "start `N` extra instances first at each reload"},
	}
}

// app turns the flags into an App as far as that needs no look at the machine. All that is wrong is reported at once.
func (f *appFlags) app(name string, command []string) (units.App, error) {
	var a units.App
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	a.Name, err = units.ParseName(name)
	keep(err)
	if f.instances != "" {
		a.Instances, err = units.ParseCount(f.instances)
		keep(meant("instances", f.instances, err))
	}
	if f.activation != activationAuto {
		a.Activation, err = units.ParseActivation(f.activation)
		keep(meant("activation", f.activation, err))
	}
	a.Restart, err = units.ParseRestart(f.restart)
	keep(meant("restart", f.restart, err))
	a.Sandbox, err = units.ParseSandbox(f.sandbox)
	keep(meant("sandbox", f.sandbox, err))
	if f.ready != "" {
		a.Ready, err = units.ParseReady(f.ready)
		keep(meant("ready", f.ready, err))
	}
	for _, s := range f.listen.Value() {
		l, err := units.ParseListener(s)
		if strings.HasSuffix(s, ".log") {
			err = fault.WithHint(fault.Usagef("--listen %q is a log file", s), "%s", pm2FlagHint("log"))
		}
		keep(err)
		a.Listen = append(a.Listen, l)
	}
	if f.noListen && len(a.Listen) > 0 {
		keep(fault.Usagef("--no-listen and --listen cannot both be given"))
	}
	a.Socket, err = f.socket()
	keep(meant("socket-mode", f.socketMode, err))
	a.Shim, err = f.shim()
	keep(err)
	a.Env, err = parseEnv("--env", f.env.Value())
	keep(err)
	for _, s := range f.envFiles.Value() {
		file := units.EnvFile{Path: s}
		file.Path, file.Optional = strings.CutPrefix(s, "-")
		a.EnvFiles = append(a.EnvFiles, file)
	}
	a.SecretEnv = f.secretEnv.Value()
	a.Logs, err = f.logs()
	keep(err)
	a.Writable = f.writable.Value()
	a.Trust = f.trust.Value()
	a.Reads = f.reads.Value()
	for _, s := range f.allow.Value() {
		w, err := units.ParseAllowance(s)
		keep(meant("allow", s, err))
		a.Allow = append(a.Allow, w)
	}
	a.Timeouts, a.Surge = f.timeouts(), f.surge
	a.RunAs = parseRunAs(f.runAs)
	a.Directory = f.directory
	a.Command = command
	return a, errors.Join(errs...)
}

// notEmpty refuses an empty value: a shell makes one of an unset variable, and it would count as an omitted flag.
func notEmpty(flag string) func(*cli.Context, string) error {
	return func(_ *cli.Context, value string) error {
		if value == "" {
			return fault.Usagef("--%s: the value is empty", flag)
		}
		return nil
	}
}

// allowWords returns the words of --allow.
func allowWords() []string {
	var words []string
	for _, w := range units.Allowances() {
		words = append(words, string(w))
	}
	return words
}

// checkListen is for apps that nobody probes: they must say where they listen.
func (f *appFlags) checkListen(n int) error {
	if f.noListen || n > 0 {
		return nil
	}
	return fault.WithHint(fault.Usagef("where does the app listen?"), "give --listen 8080, or --no-listen for a background app")
}

// activationAuto is the flag's word for a choice made by looking at the program.
const activationAuto = "auto"

// drainAuto is off for programs built with the activation package, accept where the probe has seen that the program
// waits in accept, else epoll.
const drainAuto = "auto"

// defaultMinUptime is that of the shim, which the flag's help has to name.
const defaultMinUptime = 10 * time.Second

func (f *appFlags) shim() (units.ShimOptions, error) {
	o := units.ShimOptions{Pin: f.pin, MaxRestarts: f.maxRestarts, NoNodePreload: f.noNodePreload, OwnPtrace: f.ownPtrace}
	if f.minUptime != defaultMinUptime {
		o.MinUptime = f.minUptime
	}
	var err error
	if o.Increment, err = parseEnv("--increment", f.increment.Value()); err != nil {
		return o, err
	}
	switch f.drain {
	case drainAuto, "epoll":
	case "accept":
		o.HoldAccept = true
	case "off":
		o.NoDrain = true
	default:
		return o, meant("drain", f.drain, fault.Usagef("--drain %q is not one of auto, epoll, accept, off", f.drain))
	}
	if f.minUptime <= 0 {
		return o, fault.Usagef("--min-uptime must be positive")
	}
	return o, nil
}

func (f *appFlags) socket() (units.SocketAccess, error) {
	s := units.SocketAccess{User: f.socketUser, Group: f.socketGroup}
	var err error
	if f.socketMode != "" {
		s.Mode, err = units.ParseSocketMode(f.socketMode)
	}
	return s, err
}

func (f *appFlags) logs() (units.Logs, error) {
	l := units.Logs{Namespace: f.logNamespace}
	var sizeErr, ageErr, rateErr error
	if f.logMaxSize != "" {
		l.MaxSize, sizeErr = units.ParseSize(f.logMaxSize)
	}
	if f.logMaxAge != "" {
		l.MaxAge, ageErr = units.ParseAge(f.logMaxAge)
	}
	if f.logRate != "" {
		l.Rate, rateErr = units.ParseLogRate(f.logRate)
	}
	return l, errors.Join(sizeErr, ageErr, rateErr)
}

// timeouts leaves the defaults out, so that a later default reaches the app.
func (f *appFlags) timeouts() units.Timeouts {
	var t units.Timeouts
	if f.startTimeout != units.DefaultStartTimeout {
		t.Start = f.startTimeout
	}
	if f.drainTimeout != units.DefaultDrainTimeout {
		t.Drain = f.drainTimeout
	}
	if f.stopTimeout != units.DefaultStopTimeout {
		t.Stop = f.stopTimeout
	}
	return t
}

func parseEnv(flag string, list []string) ([]units.EnvVar, error) {
	var vars []units.EnvVar
	var errs []error
	for _, s := range list {
		name, v, ok := strings.Cut(s, "=")
		if !ok {
			errs = append(errs, fault.WithHint(fault.Usagef("%s %q has no \"=\"", flag, s), "%s", envHint(flag, s)))
			continue
		}
		vars = append(vars, units.EnvVar{Name: name, Value: v})
	}
	return vars, errors.Join(errs...)
}

// parseRunAs reads USER[:GROUP]; both "" and "dynamic" give the zero value, a dynamic user.
func parseRunAs(s string) units.RunAs {
	if s == "" || s == "dynamic" {
		return units.RunAs{}
	}
	user, group, _ := strings.Cut(s, ":")
	return units.RunAs{User: user, Group: group}
}

// absolutePath makes a path absolute by the directory in which clusterctl was called.
func (e *env) absolutePath(p string) (string, error) {
	if filepath.IsAbs(p) {
		return filepath.Clean(p), nil
	}
	wd, err := e.getwd()
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("the current directory: %w", fault.Cause(err)), "cd /")
	}
	return filepath.Join(wd, p), nil
}

// meant adds to what is wrong with a flag's value the word that it may have been meant to be.
func meant(flag, value string, err error) error {
	if err == nil {
		return nil
	}
	if like := text.Nearest(value, valuesOf(flag)); like != "" {
		return fault.WithHint(err, "did you mean --%s %s?", flag, like)
	}
	return err
}

// envHint tells what PM2 means by --env NAME and -e FILE.
func envHint(flag, value string) string {
	switch {
	case flag != "--env":
		return flag + " " + value + "=VALUE"
	case strings.Contains(value, "/") || filepath.Ext(value) != "":
		return "-e is --env here; " + pm2FlagHint("error")
	}
	return "--env " + value + "=VALUE; what PM2 calls --env " + value + ", a section of its file, is --env NODE_ENV=" + value + " here"
}
