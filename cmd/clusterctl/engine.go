package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// connect returns the engine with a connection to systemd, and a function that closes the connection.
func (e *env) connect(ctx context.Context) (m *manage.Manager, closeConn func(), err error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	return e.manager(conn), func() { _ = conn.Close() }, nil
}

// render returns the files that an install or update would write for an app.
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

// withoutHangup returns a context that every cancellation of ctx cancels, except SIGHUP. A closed terminal therefore does
// not stop a reload while some instances run the old code and others the new code.
func withoutHangup(ctx context.Context) context.Context {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		if !hungUp(ctx) {
			cancel(context.Cause(ctx))
		}
	})
	return out
}
