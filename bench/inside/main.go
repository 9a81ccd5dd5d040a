// Command inside takes measurements inside the machine of the benchmarks. Measurements inside the machine are more
// precise, because the command runs in the network and process namespaces of the measured programs. The command prints
// one JSON value. The benchmarks copy the command into the machine and run it there. The command is not meant for users.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

type command struct {
	name string
	run  func(args []string) (any, error)
}

func commands() []command {
	return []command{
		{"time", timeCommand},
		{"ready", readyCommand},
		{"await", awaitCommand},
		{"fetch", fetchCommand},
		{"crash", crashCommand},
		{"bare", bareCommand},
		{"light", lightCommand},
		{"spread", spreadCommand},
		{"spread-after", spreadAfterCommand},
		{"usage", usageCommand},
		{"logwrite", logWriteCommand},
		{"logfollow", logFollowCommand},
		{"reuseport", reusePortCommand},
		{"hello", helloCommand},
	}
}

func main() {
	if err := dispatch(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "inside:", err)
		os.Exit(1)
	}
}

func dispatch(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("missing subcommand")
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		v, err := c.run(args[1:])
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		return json.NewEncoder(out).Encode(v)
	}
	return fmt.Errorf("unknown subcommand %q", args[0])
}

// flags returns a flag set whose Parse returns errors and does not print them.
func flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// prepare returns a command whose stdout is discarded. The function done adds the stderr of the command to an error, and
// returns nil if the error is nil.
func prepare(argv []string) (cmd *exec.Cmd, done func(error) error, err error) {
	if len(argv) == 0 {
		return nil, nil, errors.New("missing command after --")
	}
	// stderr is a file and not a pipe, because the command may start a daemon that would keep the pipe open.
	stderr, err := os.CreateTemp("", "inside-")
	if err != nil {
		return nil, nil, err
	}
	os.Remove(stderr.Name())
	cmd = exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = stderr
	return cmd, func(err error) error {
		defer stderr.Close()
		if err == nil {
			return nil
		}
		b, _ := io.ReadAll(io.NewSectionReader(stderr, 0, 4096))
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(b)))
	}, nil
}
