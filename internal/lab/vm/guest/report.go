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

// results is the second serial port. The first is the console, where the kernel speaks in the middle of lines.
const results = "/dev/ttyS1"

// commandTimeout bounds one command. On a machine that is emulated and shared, an install takes minutes.
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
	t.Oflag, t.Lflag = 0, 0 // as it is written, no echo
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", results, err)
	}
	return &reporter{out: f}, nil
}

// check runs f and reports its error, and what it has noted.
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
		line = fmt.Appendf(nil, `{"check":%q,"ok":false,"text":"it cannot be told"}`, name)
	}
	fmt.Fprintf(r.out, "%s\n", line)
}

func (r *reporter) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// try runs a command and returns all that it wrote, and its status; -1 is one that was not run or killed.
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

// run is try for what has to succeed.
func (r *reporter) run(argv ...string) (string, error) {
	out, code := r.try(argv...)
	if code != 0 {
		return out, fmt.Errorf("%s: status %d\n%s", strings.Join(argv, " "), code, out)
	}
	return out, nil
}

// install runs clusterctl install. An emulated machine on a busy one takes longer than a program is given.
func (r *reporter) install(args ...string) (output string, code int) {
	return r.try(append([]string{clusterctl, "install", "--probe-timeout", "2m", "--start-timeout", "5m"}, args...)...)
}

// mustInstall notes what install says, and it is an error if it fails.
func (r *reporter) mustInstall(args ...string) error {
	out, code := r.install(args...)
	r.note("%s", out)
	if code != 0 {
		return fmt.Errorf("the install has failed with status %d", code)
	}
	return nil
}

// property is a property of a unit.
func (r *reporter) property(unit, name string) (string, error) {
	return r.run("systemctl", "show", "-p", name, "--value", "--", unit)
}
