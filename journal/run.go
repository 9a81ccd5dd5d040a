package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// program is the program that reads the journal.
const program = "journalctl"

// A function of the type start starts journalctl, and terminates it when ctx ends. It returns the output of journalctl,
// and the function wait, which waits until journalctl has ended and returns its error. Tests use a function that replaces
// journalctl.
type start func(ctx context.Context, args []string) (out io.Reader, wait func() error, err error)

// startProgram starts journalctl. If clusterctl is killed, journalctl ends when it writes to the closed pipe.
func startProgram(ctx context.Context, args []string) (io.Reader, func() error, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second // then SIGKILL
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

// ArgumentError means that journalctl has refused a time, a pattern or a boot.
type ArgumentError struct {
	// Flag is "grep", "boot" or "since". The value "since" also stands for an invalid value of "until".
	Flag string
	// Message is the message of journalctl. Reason is the part of the message after the pattern, or empty. The pattern in
	// Message may differ from the pattern of the query.
	Message, Reason string
}

func (e *ArgumentError) Error() string { return e.Message }

// argumentError returns an [ArgumentError] if a message of journalctl is about an argument, and otherwise nil.
func argumentError(message string) *ArgumentError {
	for _, r := range []struct {
		flag       string
		beginnings []string
	}{
		{"since", []string{"Failed to parse time"}},
		{"grep", []string{"Bad pattern", "Failed to compile pattern", "Invalid pattern"}},
		{"boot", []string{
			"Failed to look up boot", "Data from the specified boot", "No such boot ID", "No journal boot entry found",
			"Unable to determine boot", "Failed to resolve boot",
		}},
	} {
		if slices.ContainsFunc(r.beginnings, func(s string) bool { return strings.HasPrefix(message, s) }) {
			_, reason, _ := strings.Cut(message, "\": ")
			return &ArgumentError{Flag: r.flag, Message: message, Reason: reason}
		}
	}
	return nil
}

// The function explain returns an error whose text is the first line of stderr, or nil if journalctl has succeeded. The
// parameter err is the result of [exec.Cmd.Wait].
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
		// journalctl ends with status 1 and without a message if --grep has found nothing.
		return nil
	case message == "":
		return fmt.Errorf("%s ended: %w", program, err)
	}
	if e := argumentError(message); e != nil {
		return e
	}
	return fmt.Errorf("%s: %s", program, message)
}

// plainText returns the first line of a message of a program, without colours. systemd 247 writes colours even if the
// output is not a terminal.
func plainText(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	safe, _ := appendSafe(nil, []byte(line), false)
	return strings.TrimSpace(string(safe))
}

// The function output runs journalctl and returns its output.
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

// namespaceArgument returns the argument of journalctl that selects the journal of a namespace. For the empty
// namespace, which is the journal of the machine, it returns nil.
func namespaceArgument(ns string) []string {
	if ns == "" {
		return nil
	}
	return []string{"--namespace=" + ns}
}
