// Command clusterctl-shim stands between systemd and a program that knows nothing
// of systemd. "run" becomes the program, the other subcommands are the helpers
// that the unit calls around it. It is static and small, because it starts with
// every worker.
package main

import (
	"errors"
	"os"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// version is set at link time (-X main.version=…).
var version = "devel"

// Further exit statuses; package contract has the others.
const (
	exitFailed      = 1
	exitNotRunnable = 126 // the program is there and cannot be executed
	exitNotFound    = 127 // the program is not there
)

// failure is an error with an exit status and what to type.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

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
		{keepName, keepCommand},
		{"stopping", stoppingCommand},
		{"stopped", stoppedCommand},
		{"version", versionCommand},
		{"help", helpCommand},
	}
}

func main() { os.Exit(dispatch(os.Args[1:])) }

func dispatch(args []string) int {
	if len(args) == 0 {
		return report(usage("no subcommand"))
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
	return report(usage("no subcommand \"" + args[0] + "\""))
}

// report prints the one line of an error, and its hint, and gives the exit status.
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

// drainCommand is ExecStop= of an app with a socket. The first of its flags may be --state=PATH, of the backoff, and then
// --kill-after=DURATION:UNIT, and --relisten=ADDRESS.
func drainCommand(args []string) (int, error) {
	seal()
	if state, rest := cutFlag(args, "--state="); rest != nil {
		noteStop(state)
		args = append(rest, "--report="+state)
	}
	after, rest := cutFlag(args, "--kill-after=")
	if rest != nil {
		args = rest
	}
	var listeners []string
	for {
		at, rest := cutFlag(args, "--relisten=")
		if rest == nil {
			break
		}
		listeners, args = append(listeners, at), rest
	}
	code := drain.Main(args, os.Getenv, os.Stderr)
	if after != "" {
		startGuard(after)
	}
	startKeep(listeners)
	return code, nil
}

// cutFlag takes the first argument away if it is that flag; else rest is nil.
func cutFlag(args []string, flag string) (value string, rest []string) {
	if len(args) == 0 || !strings.HasPrefix(args[0], flag) {
		return "", nil
	}
	return args[0][len(flag):], args[1:]
}

func versionCommand([]string) (int, error) {
	_, err := os.Stdout.WriteString("clusterctl-shim " + version + "\n")
	return 0, err
}
