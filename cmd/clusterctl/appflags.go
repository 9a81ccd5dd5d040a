package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/pm2"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// appFlags holds the values of the flags that describe an app. The commands install and generate have these flags.
type appFlags struct {
	instances, activation, ready, restart, sandbox string
	drain                                          string
	runAs, directory                               string
	listen, env, envFiles, writable, trust         []string
	reads, allow, secretEnv                        []string
	noListen                                       bool
	startTimeout, drainTimeout, stopTimeout        time.Duration
	minUptime                                      time.Duration
	surge                                          int
	increment                                      []string
	pin, noNodePreload, ownPtrace                  bool
	maxRestarts                                    int
	logNamespace                                   bool
	logMaxSize, logMaxAge, logRate                 string
	socketMode, socketUser, socketGroup            string
}

// These are the headings of groups of flags in the help.
const (
	groupCommon  = "COMMON FLAGS"
	groupProgram = "PROGRAM"
	groupListen  = "ADDRESSES"
	groupRun     = "START, STOP AND RESTART"
	groupAccess  = "RIGHTS AND SECRETS"
	groupLogs    = "LOGS"
)

func (f *appFlags) flags() []cmdline.Flag {
	f.activation, f.restart, f.sandbox, f.drain, f.minUptime = auto, "always", "default", auto, contract.MinUptime
	f.startTimeout, f.drainTimeout, f.stopTimeout = contract.StartTimeout, contract.DrainTimeout, contract.StopTimeout
	return slices.Concat(
		cmdline.Group(groupCommon, []cmdline.Flag{
			{Name: "instances", Short: "i", To: &f.instances, NotEmpty: true, Takes: "N", Words: []string{"max"},
				Usage: "number of workers: 4, max (one per CPU), -1, 50% (default: 1)"},
			{Name: "listen", Short: "l", To: &f.listen, Takes: "ADDR", Usage: "shared address: 8080, 127.0.0.1:8080, /run/x.sock"},
			{Name: "env", Short: "e", To: &f.env, Takes: "K=V", Usage: "set a variable; NAME alone copies your value, - " +
				"reads stdin"},
			{Name: "env-file", To: &f.envFiles, Takes: cmdline.File, Usage: "read variables from this file at each start"},
			{Name: "cwd", To: &f.directory, Takes: cmdline.Dir, Usage: "working directory (default: directory of the FILE, " +
				"or this one)"},
			{Name: "run-as", To: &f.runAs, Takes: cmdline.UserGroup, Words: []string{"dynamic"},
				Usage: "user of the workers, or dynamic (default: owner of the directory)"},
			{Name: "ready", To: &f.ready, Takes: "WHAT", Words: units.ReadyValues(),
				Usage: "when an instance is ready: notify (READY=1) or exec"},
		}),
		cmdline.Group(groupProgram, []cmdline.Flag{
			{Name: "increment", To: &f.increment, Takes: "VAR=N", Usage: "set VAR to N in instance 1, to N+1 in instance " +
				"2, and so on"},
			{Name: "pin", To: &f.pin, Usage: "bind each instance to one CPU"},
			{Name: "no-node-preload", To: &f.noNodePreload, Usage: "do not change NODE_OPTIONS"},
		}),
		cmdline.Group(groupListen, []cmdline.Flag{
			{Name: "no-listen", To: &f.noListen, Usage: "install a background app, without a socket"},
			{Name: "activation", To: &f.activation, Takes: "HOW", Words: append([]string{auto}, units.ActivationValues()...),
				Usage: "how a worker gets its listeners: auto, native or adopt"},
			{Name: "socket-mode", To: &f.socketMode, Takes: "MODE", Usage: "octal mode of the Unix sockets (default: 0660)"},
			{Name: "socket-user", To: &f.socketUser, Takes: cmdline.User,
				Usage: "owner of the Unix sockets (default: user of the workers)"},
			{Name: "socket-group", To: &f.socketGroup, Takes: cmdline.GroupName,
				Usage: "group that may connect, such as www-data for nginx"},
		}),
		cmdline.Group(groupRun, []cmdline.Flag{
			{Name: "start-timeout", To: &f.startTimeout, Takes: "TIME", Usage: "limit from the start until an instance is ready"},
			{Name: "restart", To: &f.restart, Takes: "WHEN", Words: units.RestartValues(),
				Usage: "restart ended workers: always, on-failure or no"},
			{Name: "min-uptime", To: &f.minUptime, Takes: "TIME",
				Usage: "runs shorter than TIME count as crashes and delay the next restart"},
			{Name: "max-restarts", To: &f.maxRestarts, Takes: "N", Usage: "give up an instance after N crashes in a row (default: never)"},
			{Name: "drain", To: &f.drain, Takes: "HOW", Words: drainValues(),
				Usage: "how a worker drains before its stop: auto, epoll, accept, off"},
			{Name: "drain-timeout", To: &f.drainTimeout, Takes: "TIME", Usage: "time that a stopping worker has to finish " +
				"its connections"},
			{Name: "stop-timeout", To: &f.stopTimeout, Takes: "TIME", Usage: "limit from the stop signal until a worker is killed"},
			{Name: "surge", To: &f.surge, Takes: "N", Usage: "start N extra instances first at each reload"},
		}),
		cmdline.Group(groupAccess, []cmdline.Flag{
			{Name: "sandbox", To: &f.sandbox, Takes: "HOW", Words: units.SandboxValues(),
				Usage: "how much of the machine is hidden: default, strict or off"},
			{Name: "rw", To: &f.writable, Takes: cmdline.Path, Usage: "path that sandboxed workers may write to"},
			{Name: "ro", To: &f.reads, Takes: cmdline.Path, Usage: "path in a home directory that sandboxed workers may " +
				"read"},
			{Name: "allow", To: &f.allow, Takes: "WORD", Words: asStrings(units.Allowances()),
				Usage: "part of the sandbox to omit, see clusterctl(1)"},
			{Name: "secret-env", To: &f.secretEnv, Takes: cmdline.Name, Usage: "set a variable to the secret of that name"},
			{Name: "trust", To: &f.trust, Takes: cmdline.User, Usage: "user who may change files that root reads for the app"},
			{Name: "own-ptrace", To: &f.ownPtrace, Usage: "let the shim read forked children under Yama (CAP_SYS_PTRACE)"},
		}),
		cmdline.Group(groupLogs, []cmdline.Flag{
			{Name: "log-namespace", To: &f.logNamespace, Usage: "give the app a private journal with its own limits"},
			{Name: "log-max-size", To: &f.logMaxSize, Takes: "SIZE", Usage: "size limit of the private journal, such as " +
				"500M"},
			{Name: "log-max-age", To: &f.logMaxAge, Takes: "AGE", Usage: "age at which lines of the private journal are " +
				"removed, such as 30d"},
			{Name: "log-rate", To: &f.logRate, Takes: "LINES/TIME", Usage: "limit of log lines per instance, such as 1000/10s, or off"},
		}),
	)
}

// app returns the App that the flags describe, or the joined errors of all flags. It does not access the machine.
func (f *appFlags) app(name string, command []string) (units.App, error) {
	var a units.App
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	var err error
	a.Name, err = units.ParseName(name)
	keep(err)
	a.Instances, err = parseOptional(f.instances, units.ParseCount)
	keep(suggest(err, "instances", f.instances, []string{"max"}))
	if f.activation != auto {
		a.Activation, err = units.ParseActivation(f.activation)
		keep(suggest(err, "activation", f.activation, append(units.ActivationValues(), auto)))
	}
	a.Restart, err = units.ParseRestart(f.restart)
	keep(suggest(err, "restart", f.restart, units.RestartValues()))
	a.Sandbox, err = units.ParseSandbox(f.sandbox)
	keep(suggest(err, "sandbox", f.sandbox, units.SandboxValues()))
	a.Ready, err = parseOptional(f.ready, units.ParseReady)
	keep(suggest(err, "ready", f.ready, units.ReadyValues()))
	for _, s := range f.listen {
		l, err := units.ParseListener(s)
		if strings.HasSuffix(s, ".log") {
			err = fault.WithHint(fault.Usagef("--listen %q is a log file", s), "%s", logFileHint())
		}
		keep(err)
		a.Listen = append(a.Listen, l)
	}
	if f.noListen && len(a.Listen) > 0 {
		keep(fault.Usagef("--no-listen cannot be combined with --listen"))
	}
	a.Socket = units.SocketAccess{User: f.socketUser, Group: f.socketGroup}
	a.Socket.Mode, err = parseOptional(f.socketMode, units.ParseSocketMode)
	keep(err)
	a.Shim, err = f.shim()
	keep(err)
	a.Env, err = parseEnv("--env", f.env)
	keep(err)
	for _, s := range f.envFiles {
		file := units.EnvFile{Path: s}
		file.Path, file.Optional = strings.CutPrefix(s, "-")
		a.EnvFiles = append(a.EnvFiles, file)
	}
	a.SecretEnv = f.secretEnv
	a.Logs.Namespace = f.logNamespace
	a.Logs.MaxSize, err = parseOptional(f.logMaxSize, units.ParseSize)
	keep(err)
	a.Logs.MaxAge, err = parseOptional(f.logMaxAge, units.ParseAge)
	keep(err)
	a.Logs.Rate, err = parseOptional(f.logRate, units.ParseLogRate)
	keep(err)
	a.Writable = f.writable
	a.Trust = f.trust
	a.Reads = f.reads
	for _, s := range f.allow {
		w, err := units.ParseAllowance(s)
		keep(suggest(err, "allow", s, asStrings(units.Allowances())))
		a.Allow = append(a.Allow, w)
	}
	a.Timeouts = units.Timeouts{
		Start: unlessDefault(f.startTimeout, contract.StartTimeout),
		Drain: unlessDefault(f.drainTimeout, contract.DrainTimeout),
		Stop:  unlessDefault(f.stopTimeout, contract.StopTimeout),
	}
	a.Surge = f.surge
	a.RunAs = parseRunAs(f.runAs)
	a.Directory = f.directory
	a.Command = command
	return a, errors.Join(errs...)
}

// givenFields reports which fields of the app the user has set with flags.
func (f *appFlags) givenFields(a units.App) resolve.Given {
	return resolve.Given{
		Instances: a.Instances.Given(), Directory: a.Directory != "", RunAs: f.runAs != "",
		Activation: f.activation != auto, Ready: f.ready != "", Drain: f.drain != auto,
	}
}

// auto is the default value of --activation and --drain. It means that clusterctl chooses the value that fits the program.
// It chooses --drain off for a program built with the activation package, --drain accept for a program that waits in
// accept(2) during the probe, and --drain epoll for any other program.
const auto = "auto"

func drainValues() []string { return []string{auto, "epoll", "accept", "off"} }

func (f *appFlags) shim() (units.ShimOptions, error) {
	o := units.ShimOptions{
		Pin: f.pin, MaxRestarts: f.maxRestarts, NoNodePreload: f.noNodePreload, OwnPtrace: f.ownPtrace,
		MinUptime: unlessDefault(f.minUptime, contract.MinUptime),
	}
	var err error
	if o.Increment, err = parseEnv("--increment", f.increment); err != nil {
		return o, err
	}
	switch f.drain {
	case auto, "epoll":
	case "accept":
		o.HoldAccept = true
	case "off":
		o.NoDrain = true
	default:
		bad := fault.Usagef("--drain: %q is not one of %s", f.drain, strings.Join(drainValues(), ", "))
		return o, suggest(bad, "drain", f.drain, drainValues())
	}
	if f.minUptime <= 0 {
		return o, fault.Usagef("--min-uptime must be positive")
	}
	return o, nil
}

// parseOptional returns the parsed value of a flag, or the zero value for "".
func parseOptional[T any](s string, parse func(string) (T, error)) (v T, err error) {
	if s != "" {
		v, err = parse(s)
	}
	return v, err
}

// unlessDefault returns t, or 0 if t is the default. The value 0 means the default of the running version, so the app gets a
// new default if a later version of clusterctl changes the default.
func unlessDefault(t, byDefault time.Duration) time.Duration {
	if t == byDefault {
		return 0
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

// parseRunAs parses USER[:GROUP]. It returns the zero value, a dynamic user, for "" and "dynamic".
func parseRunAs(s string) units.RunAs {
	if s == "" || s == "dynamic" {
		return units.RunAs{}
	}
	user, group, _ := strings.Cut(s, ":")
	return units.RunAs{User: user, Group: group}
}

// The function suggest adds a hint with the most similar valid value to the error of a flag.
func suggest(err error, flag, value string, words []string) error {
	if like := text.Nearest(value, words); err != nil && like != "" {
		return fault.WithHint(err, "did you mean --%s %s?", flag, like)
	}
	return err
}

// envHint returns the hint for a value without "=". PM2 has such values: --env NAME selects a section of its file, and -e
// FILE sets a log file.
func envHint(flag, value string) string {
	switch {
	case flag != "--env":
		return flag + " " + value + "=VALUE"
	case strings.Contains(value, "/") || filepath.Ext(value) != "":
		return "-e means --env in clusterctl; " + logFileHint()
	}
	return "--env " + value + "=VALUE; instead of --env " + value + " of PM2: --env NODE_ENV=" + value
}

// logFileHint returns the hint for the flags with which PM2 sets log files.
func logFileHint() string {
	is, _ := pm2.Lookup(pm2.Flag, "log")
	return is.Hint
}
