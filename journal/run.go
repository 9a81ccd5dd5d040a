package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// program is the reader of the journal.
const program = "journalctl"

// waitDelay is how long journalctl may take to end once it is told to.
const waitDelay = 2 * time.Second

// start begins a program whose life ends with ctx, and gives its output; wait collects it. Tests put another in its place.
type start func(ctx context.Context, args []string) (out io.Reader, wait func() error, err error)

// startProgram starts journalctl. It ends by itself when nobody reads its output any more, also when this process is
// killed.
func startProgram(ctx context.Context, args []string) (io.Reader, func() error, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = waitDelay
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("starting %s: %w", program, err)
	}
	wait := func() error {
		return explain(cmd.Wait(), stderr.String())
	}
	return out, wait, nil
}

// Flag is a flag of journalctl whose value can be wrong in a way that only journalctl finds out.
type Flag string

// The flags. FlagSince stands for both --since and --until: the message of journalctl does not have the flag.
const (
	FlagSince Flag = "since"
	FlagGrep  Flag = "grep"
	FlagBoot  Flag = "boot"
)

// ArgumentError is a time, a pattern or a boot that journalctl has refused.
type ArgumentError struct {
	Flag Flag
	// Message is what journalctl said. Reason is what is wrong with a pattern, without the pattern itself: journalctl is not
	// always given the pattern of the query. For other flags, and where journalctl gives no reason, it is empty.
	Message, Reason string
}

// Error returns the message of journalctl.
func (e *ArgumentError) Error() string { return e.Message }

// refusals are the beginnings of journalctl's messages about its arguments.
func refusals() []refusal {
	return []refusal{
		{FlagSince, "Failed to parse time"},
		{FlagGrep, "Bad pattern"}, {FlagGrep, "Failed to compile pattern"}, {FlagGrep, "Invalid pattern"},
		{FlagBoot, "Failed to look up boot"}, {FlagBoot, "Data from the specified boot"}, {FlagBoot, "No such boot ID"},
		{FlagBoot, "No journal boot entry found"}, {FlagBoot, "Unable to determine boot"}, {FlagBoot, "Failed to resolve boot"},
	}
}

type refusal struct {
	flag      Flag
	beginning string
}

// refused returns the ArgumentError of a message, or nil for a message about something else.
func refused(message string) *ArgumentError {
	for _, r := range refusals() {
		if !strings.HasPrefix(message, r.beginning) {
			continue
		}
		e := &ArgumentError{Flag: r.flag, Message: message}
		if r.flag == FlagGrep {
			_, e.Reason, _ = strings.Cut(message, "\": ")
		}
		return e
	}
	return nil
}

// explain makes an error of how a program ended: its own words, if it had any.
func explain(err error, stderr string) error {
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("running %s: %w", program, err)
	}
	message := plainText(stderr)
	switch {
	case message == "" && exit.ExitCode() == 1:
		// --grep has found nothing.
		return nil
	case message == "":
		return fmt.Errorf("%s ended: %w", program, err)
	}
	if e := refused(message); e != nil {
		return e
	}
	return fmt.Errorf("%s: %s", program, message)
}

// plainText is the first line of what a program said. systemd 247 colours it even where that is no terminal.
func plainText(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	safe, _ := appendSafe(nil, []byte(line), false)
	return strings.TrimSpace(string(safe))
}

// output runs a program for what it writes.
func output(ctx context.Context, args ...string) (string, error) {
	out, wait, err := startProgram(ctx, args)
	if err != nil {
		return "", err
	}
	data, readErr := io.ReadAll(out)
	if err := wait(); err != nil {
		return "", err
	}
	return string(data), readErr
}

// namespaceArgument names one journal alone; "" is that of the machine.
func namespaceArgument(ns string) []string {
	if ns == "" {
		return nil
	}
	return []string{"--namespace=" + ns}
}
