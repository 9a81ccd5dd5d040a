package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// env is what a command gets from outside: streams, identity, clock, files and systemd. A test sets its own fields.
// TestDirectAccess in internal/archtest lists the few other files of this package that use the system directly, each with its
// reason.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	stdinTTY       bool
	stderrTTY      bool
	// stdoutTTY: what is printed may be fitted into the terminal, and drawn again; colours: it may be coloured too.
	stdoutTTY, colours bool
	// terminal is the size of the terminal, in columns and rows; 0 is unknown.
	terminal func() (columns, rows int)
	getenv   func(string) string
	// password reads a line from the terminal without an echo.
	password func() ([]byte, error)
	getwd    func() (string, error)
	lookPath func(string) (string, error)
	stat     func(string) (fs.FileInfo, error)
	readFile func(string) ([]byte, error)
	// euid decides what may be done; uid is the user who asked for it where sudo names no other.
	euid, uid int
	now       func() time.Time
	store     *install.Store
	host      inspect.Host
	shim      string
	dial      func(context.Context) (*control.Conn, error)
	// booted reports whether systemd is PID 1.
	booted func() bool
	args   []string
	// command is what followed "--", and hasCommand whether there was a "--" at all.
	command    []string
	hasCommand bool
	quiet      bool
	killed     *manage.Kills
	// noColour is --no-color; the terminal counts as none then.
	noColour bool
}

func systemEnv() *env {
	dumb := os.Getenv("TERM") == "dumb"
	colours := !dumb && os.Getenv("NO_COLOR") == ""
	stdoutTTY := !dumb && term.IsTerminal(int(os.Stdout.Fd()))
	e := &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		stderrTTY: colours && term.IsTerminal(int(os.Stderr.Fd())),
		stdoutTTY: stdoutTTY, colours: colours && stdoutTTY,
		terminal: terminalSize,
		host:     inspect.System(),
		getenv:   os.Getenv,
		password: func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) },
		getwd:    os.Getwd,
		booted:   booted,
		lookPath: exec.LookPath,
		stat:     os.Stat,
		readFile: os.ReadFile,
		euid:     os.Geteuid(),
		uid:      os.Getuid(),
		now:      time.Now,
		store:    commandStore(os.Args),
		shim:     units.DefaultShim,
		args:     os.Args,
		killed:   new(manage.Kills),
	}
	e.dial = e.dialSystem
	return e
}

// resolver completes apps with what the caller has: its directory, its $PATH, its notes.
func (e *env) resolver() *resolve.Resolver {
	return &resolve.Resolver{
		Store: e.store, Guard: e.guard(), Host: e.host, Getenv: e.getenv, Getwd: e.getwd, LookPath: e.lookPath, Note: e.note,
	}
}

// booted reports whether systemd is PID 1, as sd_booted(3) does.
func booted() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

func terminalSize() (columns, rows int) {
	columns, rows, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, rows
}

// width is how much of a line can be seen; 0 means that nobody looks at lines.
func (e *env) width() int {
	if !e.stdoutTTY {
		return 0
	}
	columns, _ := e.terminal()
	return columns
}

// commandStore is the system's store, with this command line as the name that others see behind a lock and with a revision:
// values of variables are left out.
func commandStore(args []string) *install.Store {
	s := install.System()
	s.Command = strings.Join(append([]string{"clusterctl"}, mask.CommandLine(args[1:])...), " ")
	return &s
}

// needRoot refuses early, before anything is looked at, with the command line to type instead.
func (e *env) needRoot() error {
	if e.euid == 0 {
		return nil
	}
	return fault.WithHint(fmt.Errorf("this changes the machine: %w", control.ErrPermission), "%s", e.sudoHint())
}

// sudoHint rebuilds the command line, quoted for a shell.
func (e *env) sudoHint() string {
	words := []string{"sudo"}
	for i, a := range e.args {
		if i == 0 {
			a = "clusterctl"
		}
		words = append(words, text.Shell(a))
	}
	return strings.Join(words, " ")
}

// filter runs a program with the bytes as its standard input, and returns its standard output.
func (e *env) filter(ctx context.Context, input []byte, argv ...string) ([]byte, error) {
	path, err := e.lookPath(argv[0])
	if err != nil {
		return nil, fmt.Errorf("%s is not in $PATH", argv[0])
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(stderr.String())))
	}
	return stdout.Bytes(), nil
}
