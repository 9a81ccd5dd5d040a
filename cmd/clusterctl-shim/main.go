// Command clusterctl-shim starts a program for systemd that does not know systemd. "run" becomes the program; units call the
// other subcommands before and after the program. The binary is static and small, because it starts with every worker.
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

// Exit statuses that are not in package contract.
const (
	exitFailed      = 1
	exitNotRunnable = 126 // the program exists but cannot be executed
	exitNotFound    = 127 // the program does not exist
)

// failure is an error with an exit status and a hint.
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

// report prints an error and its hint, one line each, and returns the exit status.
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

// drainCommand is ExecStop= of an app with a socket. Before the flags of the drain it accepts, in this order, --state=PATH,
// --kill-after=DURATION:UNIT and any number of --relisten=ADDRESS.
func drainCommand(args []string) (int, error) {
	refuseMessages()
	if state, rest := cutFlag(args, "--state="); rest != nil {
		recordStop(state)
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

// cutFlag returns the value of the flag and the other arguments if the flag is the first argument. Otherwise rest is nil.
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
