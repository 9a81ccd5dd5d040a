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
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/mask"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// env holds everything through which a command reaches the machine: streams, user IDs, clock, files and systemd. Tests
// replace the fields. TestDirectAccess in internal/archtest lists the files of this package that reach the machine without
// env, with the reasons.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	stdinTTY       bool
	stderrTTY      bool
	// stdoutTTY means that stdout is a terminal: lines may be shortened to its width and redrawn. colours means that text on
	// stdout may have colours.
	stdoutTTY, colours bool
	// terminal returns the size of the terminal. 0 is unknown.
	terminal func() (columns, rows int)
	getenv   func(string) string
	// password reads a line from the terminal without an echo.
	password func() ([]byte, error)
	getwd    func() (string, error)
	lookPath func(string) (string, error)
	stat     func(string) (fs.FileInfo, error)
	readFile func(string) ([]byte, error)
	// euid is the effective user ID, which is 0 under sudo. uid is the real user ID.
	euid, uid int
	now       func() time.Time
	store     *install.Store
	host      inspect.Host
	shim      string
	dial      func(context.Context) (*control.Conn, error)
	booted    func() bool
	args      []string
	// The field command contains the arguments after "--", or nil if there is no "--".
	command  []string
	quiet    bool
	noColour bool // --no-color
	killed   *manage.Kills
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
		booted:   isBooted,
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

// resolver returns a Resolver that uses the working directory and the $PATH of the caller.
func (e *env) resolver() *resolve.Resolver {
	return &resolve.Resolver{
		Store: e.store, Guard: e.guard(), Host: e.host, Getenv: e.getenv, Getwd: e.getwd, LookPath: e.lookPath, Note: e.note,
	}
}

// isBooted reports whether systemd is PID 1, as sd_booted(3) does.
func isBooted() bool {
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

// width returns the number of columns of the terminal, or 0 if stdout is not a terminal.
func (e *env) width() int {
	if !e.stdoutTTY {
		return 0
	}
	columns, _ := e.terminal()
	return columns
}

// commandStore returns the store of this machine. The store writes the command line into its locks and revisions, without
// the values of variables.
func commandStore(args []string) *install.Store {
	s := install.System()
	s.Command = strings.Join(append([]string{"clusterctl"}, mask.CommandLine(args[1:])...), " ")
	return &s
}

// needRoot returns an error if the caller is not root. Its hint is the same command line with sudo.
func (e *env) needRoot() error {
	if e.euid == 0 {
		return nil
	}
	return fault.WithHint(fmt.Errorf("this changes the machine: %w", control.ErrPermission), "%s", sudoHint(e.args))
}

// sudoHint returns a command line with sudo, quoted for a shell.
func sudoHint(args []string) string {
	return "sudo " + text.ShellLine(append([]string{"clusterctl"}, args[1:]...))
}

// The method filter runs a program with input as its standard input, and returns its standard output.
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

// The method connect returns the engine with a connection to systemd, and a function that closes the connection.
func (e *env) connect(ctx context.Context) (m *manage.Manager, closeConn func(), err error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	return e.manager(conn), func() { _ = conn.Close() }, nil
}

// The method render returns the files that an install or update would write for an app.
func (e *env) render(ctx context.Context, a units.App) (manage.Files, error) {
	m, closeConn, err := e.connect(ctx)
	if err != nil {
		return manage.Files{}, err
	}
	defer closeConn()
	return m.Render(ctx, a)
}

// manager returns the engine. It uses the connection, and the files, the clock and the output of the env.
func (e *env) manager(conn manage.Conn) *manage.Manager {
	return &manage.Manager{
		Store: e.store, Conn: conn, Host: e.host, Now: e.now, Shim: e.shim, Root: e.euid == 0, Kills: e.killed,
		Note:     e.note,
		Progress: func(n units.Name, total int) manage.Progress { return e.newProgress(string(n), total) },
		Tail:     journal.Tail, Sockets: inspect.Look, Filter: e.filter, CheckPorts: e.resolver().CheckPorts,
	}
}

// dialSystem connects to systemd. It prints a note for each instance that is killed during its start. It prints nothing for
// an instance that is killed during its stop, because the command then ends with an error.
func (e *env) dialSystem(ctx context.Context) (*control.Conn, error) {
	conn, err := control.Dial(ctx)
	if err != nil {
		return nil, err
	}
	conn.OnKill(func(k control.Killed) {
		if e.killed.Add(k) && k.Op == control.Start {
			e.note("%s", k)
		}
	})
	return conn, nil
}

// interruption is the cancellation cause of a context that a signal canceled.
type interruption struct{ os.Signal }

func (i interruption) Error() string { return i.String() + " signal received" }
func (interruption) Unwrap() error   { return context.Canceled }

// untilSignal returns a context that the first of the signals cancels. Until stop is called, the signals do not end the
// process.
func untilSignal(ctx context.Context, signals ...os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	go func() {
		select {
		case s := <-received:
			cancel(interruption{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(received)
		cancel(nil)
	}
}

// hungUp reports whether SIGHUP canceled the context. A process gets SIGHUP when its terminal closes.
func hungUp(ctx context.Context) bool { return context.Cause(ctx) == interruption{syscall.SIGHUP} }

// withoutHangup returns a context that is canceled together with ctx, unless SIGHUP canceled ctx. A closed terminal
// therefore does not stop a reload while some instances run the old code and others the new code.
func withoutHangup(ctx context.Context) context.Context {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		if !hungUp(ctx) {
			cancel(context.Cause(ctx))
		}
	})
	return out
}
