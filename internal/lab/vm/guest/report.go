package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// results is the second serial port. The first port is the console, on which messages of the kernel would interrupt the
// lines.
const results = "/dev/ttyS1"

// commandTimeout limits one command. In an emulated machine on a busy host, an install takes minutes.
const commandTimeout = 10 * time.Minute

// reporter writes one line for each check.
type reporter struct {
	out   *os.File
	notes []string
}

func openResults() (*reporter, error) {
	f, err := os.OpenFile(results, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", results, err)
	}
	t.Oflag, t.Lflag = 0, 0 // no output processing, no echo
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", results, err)
	}
	return &reporter{out: f}, nil
}

// The method check runs f, and writes a line with the error of f and the notes that f has added.
func (r *reporter) check(name string, f func() error) {
	r.notes = nil
	start := time.Now()
	err := f()
	if err != nil {
		r.notes = append(r.notes, "FAILED: "+err.Error())
	}
	line, jerr := json.Marshal(map[string]any{
		"check": name, "ok": err == nil, "seconds": time.Since(start).Seconds(), "text": strings.Join(r.notes, "\n"),
	})
	if jerr != nil {
		line = fmt.Appendf(nil, `{"check":%q,"ok":false,"text":"the result cannot be encoded"}`, name)
	}
	fmt.Fprintf(r.out, "%s\n", line)
}

func (r *reporter) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// The method try runs a command, and returns its output and its exit status. The status is -1 if the command did not run
// or was killed.
func (r *reporter) try(argv ...string) (output string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		code = exit.ExitCode()
	default:
		out, code = append(out, err.Error()...), -1
	}
	return strings.TrimRight(string(out), "\n"), code
}

// The method run runs a command and returns its output, and an error if the exit status is not 0.
func (r *reporter) run(argv ...string) (string, error) {
	out, code := r.try(argv...)
	if code != 0 {
		return out, fmt.Errorf("%s: status %d\n%s", strings.Join(argv, " "), code, out)
	}
	return out, nil
}

// The method install runs clusterctl install with long timeouts, because the machine may be emulated on a busy host.
func (r *reporter) install(args ...string) (output string, code int) {
	return r.try(append([]string{clusterctl, "install", "--probe-timeout", "2m", "--start-timeout", "5m"}, args...)...)
}

// mustInstall installs an app, adds the output to the notes, and returns an error if the install fails.
func (r *reporter) mustInstall(args ...string) error {
	out, code := r.install(args...)
	r.note("%s", out)
	if code != 0 {
		return fmt.Errorf("the install failed with status %d", code)
	}
	return nil
}

// The method property returns a property of a unit.
func (r *reporter) property(unit, name string) (string, error) {
	return r.run("systemctl", "show", "-p", name, "--value", "--", unit)
}
