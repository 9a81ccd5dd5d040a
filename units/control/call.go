package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	busPath      = dbus.ObjectPath("/org/freedesktop/DBus")
	busInterface = "org.freedesktop.DBus"
	properties   = "org.freedesktop.DBus.Properties"
)

// The type request is one method call to systemd.
type request struct {
	path   dbus.ObjectPath
	method string // interface and member
	args   []any
}

// The method call sends one request, waits for the reply, and stores the values of the reply in the pointers.
func (c *Conn) call(ctx context.Context, r request, reply ...any) error {
	calls, err := c.roundTrip(ctx, []request{r})
	if err != nil {
		return err
	}
	if calls[0].Err != nil {
		return translate(calls[0].Err)
	}
	if len(reply) == 0 {
		return nil
	}
	return calls[0].Store(reply...)
}

// roundTrip sends all requests, or as many as the bus allows, before it waits for the first reply. roundTrip returns the
// replies in the order of the requests. Each reply has its own error. The error of roundTrip means that the context has
// ended or that the connection was lost.
func (c *Conn) roundTrip(ctx context.Context, rs []request) ([]*dbus.Call, error) {
	for again := (retry{}); ; {
		l, err := c.link(ctx)
		if err != nil {
			return nil, translate(err)
		}
		calls, err := l.roundTrip(ctx, rs)
		if err == nil {
			return calls, nil
		}
		if err := again.wait(ctx, l, err); err != nil {
			return nil, err
		}
	}
}

// The type retry decides whether an operation is repeated after the connection was lost or while PID 1 re-executes itself.
type retry struct {
	since time.Time
	pause time.Duration
}

// The method wait returns nil after a pause before the next attempt. If the operation must not be repeated, the result is
// the error for the caller.
func (r *retry) wait(ctx context.Context, l *link, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case managerAbsent(err):
		if err := l.awaitManager(ctx); err != nil {
			return err
		}
	case !connectionLost(err):
		return translate(err)
	}
	if r.since.IsZero() {
		r.since = time.Now()
	}
	if time.Since(r.since) > reconnectTime {
		return translate(err)
	}
	// Usually the first new connection works. But if the bus is about to end, a new connection does not work. No event
	// reports the start of the next bus, so try again with growing pauses.
	r.pause = min(2*r.pause+time.Millisecond, time.Second)
	select {
	case <-time.After(r.pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// window is the maximum number of calls that wait for a reply at the same time. On the system bus, dbus-daemon refuses more
// than 128 such calls per connection (dbus-daemon(1), max_replies_per_connection).
const window = 120

// roundTrip returns an error if the connection was lost or PID 1 was absent during any of the calls. The caller must then
// send all requests again on a new connection. A request may reach PID 1 twice, which is safe because the operations on
// units are idempotent.
func (l *link) roundTrip(ctx context.Context, rs []request) ([]*dbus.Call, error) {
	done := make(chan *dbus.Call, len(rs)) // godbus blocks if the channel is full
	calls := make([]*dbus.Call, len(rs))
	var failed error
	await := func() {
		call := <-done
		if err := call.Err; err != nil && (ctx.Err() != nil || connectionLost(err) || managerAbsent(err)) {
			failed = err
		}
	}
	for i, r := range rs {
		if i >= window {
			await()
		}
		// Without FlagNoAutoStart, the bus would try to start a second systemd while PID 1 re-executes itself.
		calls[i] = l.bus.Object(busName, r.path).GoWithContext(ctx, r.method, dbus.FlagNoAutoStart, done, r.args...)
	}
	for range min(len(rs), window) {
		await()
	}
	return calls, failed
}

// busCall calls a method of the bus daemon.
func (l *link) busCall(ctx context.Context, member string, reply []any, args ...any) error {
	return l.bus.BusObject().CallWithContext(ctx, busInterface+"."+member, 0, args...).Store(reply...)
}

// The method match adds a match rule to the connection, unless the connection already has this rule. The private socket of
// PID 1 has no rules and sends every signal.
func (l *link) match(ctx context.Context, options ...dbus.MatchOption) error {
	key := fmt.Sprint(options)
	if l.isPrivate || l.has(key) {
		return nil
	}
	// If two goroutines add the same rule, the bus still sends each message only once.
	if err := l.bus.AddMatchSignalContext(ctx, options...); err != nil {
		return err
	}
	l.add(key)
	return nil
}

// The method listen returns a channel for these signals of systemd: the end of a job, the return of PID 1 to the bus, and,
// if changes is true, new properties of a unit. The channel is closed when the connection is lost. The caller must pass the
// channel to unlisten.
func (l *link) listen(ctx context.Context, changes bool) (chan *dbus.Signal, error) {
	rules := [][]dbus.MatchOption{
		{dbus.WithMatchSender(busInterface), dbus.WithMatchInterface(busInterface),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName)},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(manager), dbus.WithMatchMember("JobRemoved")},
	}
	if changes {
		// Use one rule for all units, because dbus-daemon allows 512 rules per connection on the system bus and checks every
		// message against all rules. Watch ignores the signals of other units.
		rules = append(rules, []dbus.MatchOption{
			dbus.WithMatchSender(busName), dbus.WithMatchInterface(properties), dbus.WithMatchMember("PropertiesChanged"),
			dbus.WithMatchPathNamespace(managerPath + "/unit"),
		})
	}
	signals := make(chan *dbus.Signal, 64)
	l.bus.Signal(signals)
	for _, r := range rules {
		if err := l.match(ctx, r...); err != nil {
			l.unlisten(signals)
			return nil, err
		}
	}
	if err := l.subscribe(ctx); err != nil {
		l.unlisten(signals)
		return nil, err
	}
	return signals, nil
}

func (l *link) unlisten(signals chan *dbus.Signal) { l.bus.RemoveSignal(signals) }

// subscribe makes PID 1 send signals to the bus. PID 1 sends signals while at least one subscriber is connected, and keeps
// its list of subscribers when it re-executes itself.
func (l *link) subscribe(ctx context.Context) error {
	const key = "subscribed"
	if l.isPrivate || l.has(key) {
		return nil
	}
	call := l.bus.Object(busName, managerPath).CallWithContext(ctx, manager+".Subscribe", dbus.FlagNoAutoStart)
	var answer dbus.Error
	if errors.As(call.Err, &answer) && answer.Name == busName+".AlreadySubscribed" {
		call.Err = nil // another goroutine has subscribed
	}
	if call.Err != nil {
		return call.Err
	}
	l.add(key)
	return nil
}

func (l *link) has(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[key]
}

func (l *link) add(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[key] = true
}

// connectionLost returns a channel that is closed when the connection is lost.
func (l *link) connectionLost() <-chan struct{} { return l.bus.Context().Done() }

// awaitManager waits until PID 1 owns its name on the bus. When the bus stops, PID 1 leaves the bus before the connection is
// lost. If the connection is lost during the wait, awaitManager also returns nil, and the caller makes a new connection.
func (l *link) awaitManager(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reconnectTime)
	defer cancel()
	signals := make(chan *dbus.Signal, 8)
	l.bus.Signal(signals)
	defer l.unlisten(signals)
	err := l.match(ctx, dbus.WithMatchSender(busInterface), dbus.WithMatchInterface(busInterface),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName))
	var owned bool
	if err == nil {
		err = l.busCall(ctx, "NameHasOwner", []any{&owned}, busName)
	}
	switch {
	case connectionLost(err):
		return nil
	case err != nil || owned:
		return translate(err)
	}
	for {
		select {
		case s, ok := <-signals:
			if !ok || managerReturned(s) {
				return nil
			}
		case <-l.connectionLost():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: PID 1 has been absent from the bus for %v", ErrLost, reconnectTime.Round(time.Second))
		}
	}
}

// managerReturned reports whether the signal means that PID 1 owns its name on the bus again, for example after a
// re-execution.
func managerReturned(s *dbus.Signal) bool {
	if s.Name != busInterface+".NameOwnerChanged" || s.Path != busPath || len(s.Body) != 3 {
		return false
	}
	name, _ := s.Body[0].(string)
	owner, _ := s.Body[2].(string)
	return name == busName && owner != ""
}
