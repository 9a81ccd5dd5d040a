// Command clusterctl-shim starts programs that were not written for systemd. Units call its subcommands: "run" becomes the
// program, and other subcommands run before or after the program. The binary is static and small, because it starts with
// every worker.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// version is set by the linker (-X main.version=…).
var version = "devel"

// Package contract does not contain these exit statuses.
const (
	exitFailed      = 1
	exitNotRunnable = 126 // the program exists but cannot be executed
	exitNotFound    = 127 // the program does not exist
)

// failure is an error with the exit status of the command, and a hint.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage returns the failure for invalid arguments.
func usage(text string) error {
	return &failure{code: contract.StatusUsage, err: errors.New(text), hint: "clusterctl-shim help"}
}

type command struct {
	name string
	run  func(args []string) (int, error)
}

func commands() []command {
	return []command{
		{"run", runCommand},
		{"probe", probeCommand},
		{probeChildName, probeChild},
		{"drain", drainCommand},
		{"wait", waitCommand},
		{guardName, guardCommand},
		{"own", ownCommand},
		{releaseName, releaseCommand},
		{watchName, watchCommand},
		{"stopping", stoppingCommand},
		{"stopped", stoppedCommand},
		{"version", versionCommand},
		{"help", helpCommand},
	}
}

func main() { os.Exit(dispatch(os.Args[1:])) }

func dispatch(args []string) int {
	if len(args) == 0 {
		return report(usage("missing subcommand"))
	}
	for _, c := range commands() {
		if c.name == args[0] {
			code, err := c.run(args[1:])
			if err != nil {
				return report(err)
			}
			return code
		}
	}
	return report(usage("unknown subcommand \"" + args[0] + "\""))
}

// The function report prints an error and its hint, one line each, and returns the exit status.
func report(err error) int {
	text, code := contract.LogPrefix+err.Error()+"\n", exitFailed
	var f *failure
	if errors.As(err, &f) {
		code = f.code
		if f.hint != "" {
			text += contract.LogPrefix + "hint: " + f.hint + "\n"
		}
	}
	os.Stderr.WriteString(text)
	return code
}

// The function warn prints an error that does not stop the command. It does nothing if err is nil.
func warn(what string, err error) {
	if err != nil {
		report(fmt.Errorf("%s: %w", what, err))
	}
}

// The function parse parses the flags of a subcommand. For an invalid flag, it returns the failure of the function usage.
func parse(f *flag.FlagSet, args []string) error {
	f.SetOutput(io.Discard)
	if err := f.Parse(args); err != nil {
		return usage(err.Error())
	}
	return nil
}

// appendTo returns the function that appends the value of a repeated flag to the list.
func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

// startBackground starts a subcommand in a new process with an empty environment. The new process still runs when the
// calling process has ended.
func startBackground(stdout uintptr, args ...string) (pid int, err error) {
	return syscall.ForkExec("/proc/self/exe", append([]string{os.Args[0]}, args...), &syscall.ProcAttr{
		Env: []string{}, Files: []uintptr{0, stdout, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// drainCommand runs the subcommand "drain", which is in ExecStop= of an app with a socket. The flags --state=PATH,
// --kill-after=DURATION:UNIT and --relisten=ADDRESS must come before the flags of package drain.
func drainCommand(args []string) (int, error) {
	var state, after string
	var listeners []string
flags:
	for ; len(args) > 0; args = args[1:] {
		switch name, value, _ := strings.Cut(args[0], "="); name {
		case "--state":
			state = value
		case "--kill-after":
			after = value
		case "--relisten":
			listeners = append(listeners, value)
		default:
			break flags
		}
	}
	refuseMessages()
	recordStop(state)
	code := drain.Main(append(args, "--report="+state), os.Getenv, os.Stderr)
	if after != "" {
		startGuard(after)
	}
	startWatch(listeners)
	return code, nil
}

func versionCommand([]string) (int, error) {
	_, err := os.Stdout.WriteString("clusterctl-shim " + version + "\n")
	return 0, err
}

func helpCommand([]string) (int, error) {
	_, err := os.Stdout.WriteString(help)
	return 0, err
}

const help = `usage: clusterctl-shim run [flags] -- /path/to/program [arguments]

Becomes the program. Units of clusterctl use this command; see clusterctl(1).

  --adopt                  give the program the sockets of the unit at bind(2)
  --map KEY=KIND:PORT      use the socket KEY for a bind of another port
                           KEY: descriptor name, name/K or number from 0
                           KIND: tcp, tcp4, tcp6, udp, udp4, udp6; or unix:/PATH
  --accept hold            a drain holds accept(2), for programs without epoll
  --own-ptrace             CAP_SYS_PTRACE of the unit is only for the shim
  --confine                forbid signals to processes of other programs
                           (Landlock, Linux 6.12 or later)
  --instance N             set INSTANCE=N and NODE_APP_INSTANCE=N-1
  --env-file [-]FILE       read variables as EnvironmentFile= does
                           -: FILE may be missing
  --env-comments-continue  "\" at the end of a comment continues it,
                           as before systemd 254
  --increment VAR          add N-1 to the number in the variable VAR
  --pin                    run on one CPU only: the N-th allowed CPU
  --node-preload PATH      add --require PATH to NODE_OPTIONS
  --sigpipe default|ignore action for SIGPIPE (ignore, as in systemd)
  --state PATH             path of the files with the state of the instance
  --backoff                wait before a restart after short runs
  --min-uptime DURATION    a run is short if it ends earlier (10s)
  --max-restarts N         exit with status 252 after N restarts of short runs

usage: clusterctl-shim probe [flags] -- /path/to/program [arguments]

Runs the program until it listens, kills the program and prints its binds
as JSON.

  --timeout DURATION       limit of the whole probe (1m)
  --settle DURATION        end this long after the last listen(2) (500ms)
  --idle DURATION          end if the program is idle and does not listen
                           for this long (10s); 0: never
  --own PATH               path of a Unix socket of the app
  --output FILE            write the report to FILE instead of stdout
  --confine, --instance, --env-file, --increment, --node-preload: as above

Other subcommands: drain, wait, own, stopping, stopped, version, help
`
