// Command inside measures in the machine what would be blurred from outside: it runs beside the programs, in their network
// and among their processes, and prints one JSON value. The harness copies it in and calls it; people do not.
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
		{"told", toldCommand},
		{"await", awaitCommand},
		{"fetch", fetchCommand},
		{"crash", crashCommand},
		{"bare", bareCommand},
		{"light", lightCommand},
		{"spread", spreadCommand},
		{"pile", pileCommand},
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
		return errors.New("no subcommand")
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
	return fmt.Errorf("no subcommand %q", args[0])
}

// flags makes a set that fails by an error.
func flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// prepare makes a command whose output goes to /dev/null, and what it says on stderr into the error of done.
func prepare(argv []string) (cmd *exec.Cmd, done func(error) error, err error) {
	if len(argv) == 0 {
		return nil, nil, errors.New("no command behind --")
	}
	// A file, not a pipe: a daemon that the command leaves behind must not keep us waiting.
	said, err := os.CreateTemp("", "inside-")
	if err != nil {
		return nil, nil, err
	}
	os.Remove(said.Name())
	cmd = exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = said
	return cmd, func(err error) error {
		defer said.Close()
		if err == nil {
			return nil
		}
		b, _ := io.ReadAll(io.NewSectionReader(said, 0, 4096))
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(b)))
	}, nil
}
