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

// request is one method call to systemd.
type request struct {
	path   dbus.ObjectPath
	method string // interface and member
	args   []any
}

// call sends one request and stores the reply.
func (c *Conn) call(ctx context.Context, r request, reply ...any) error {
	calls, err := c.round(ctx, []request{r})
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

// round sends all requests, or as many as the bus allows, before it waits for the first reply. It returns the replies in
// the order of the requests, each with its own error. round itself returns an error if the context ends or the connection
// is lost.
func (c *Conn) round(ctx context.Context, rs []request) ([]*dbus.Call, error) {
	for again := (retry{}); ; {
		l, err := c.link(ctx)
		if err != nil {
			return nil, translate(err)
		}
		calls, err := l.round(ctx, rs)
		if err == nil {
			return calls, nil
		}
		if err := again.after(ctx, l, err); err != nil {
			return nil, err
		}
	}
}

// retry decides whether to repeat an operation that failed because the connection was lost or PID 1 was away.
type retry struct {
	since time.Time
	pause time.Duration
}

// after returns nil when it is time to try again. Otherwise it returns the error for the caller.
func (r *retry) after(ctx context.Context, l *link, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case absent(err):
		if err := l.awaitManager(ctx); err != nil {
			return err
		}
	case !lost(err):
		return translate(err)
	}
	if r.since.IsZero() {
		r.since = time.Now()
	}
	if time.Since(r.since) > reconnectTime {
		return translate(err)
	}
	// The first new connection usually works. A connection to a bus that is about to end does not work, and no event
	// reports the next bus.
	r.pause = min(2*r.pause+time.Millisecond, time.Second)
	select {
	case <-time.After(r.pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// window is how many calls may wait for a reply at once: dbus-daemon refuses more than 128 per connection on the system bus
// (dbus-daemon(1), max_replies_per_connection).
const window = 120

// round returns an error if any of the calls met a lost connection or an absent PID 1. The caller must then send all
// requests again, on the next connection. Sending a request twice does no harm, because the operations on units are
// idempotent.
func (l *link) round(ctx context.Context, rs []request) ([]*dbus.Call, error) {
	done := make(chan *dbus.Call, len(rs)) // godbus blocks on a channel that is full
	calls := make([]*dbus.Call, len(rs))
	var failed error
	await := func() {
		call := <-done
		if err := call.Err; err != nil && (ctx.Err() != nil || lost(err) || absent(err)) {
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

// busCall calls the bus daemon itself.
func (l *link) busCall(ctx context.Context, member string, reply []any, args ...any) error {
	return l.bus.BusObject().CallWithContext(ctx, busInterface+"."+member, 0, args...).Store(reply...)
}

// match adds a match rule, once per connection. PID 1's private socket has no rules and sends every signal.
func (l *link) match(ctx context.Context, options ...dbus.MatchOption) error {
	key := fmt.Sprint(options)
	if l.private || l.has(key) {
		return nil
	}
	// Two goroutines may both add the rule. The bus sends a message once, even if several rules match it.
	if err := l.bus.AddMatchSignalContext(ctx, options...); err != nil {
		return err
	}
	l.add(key)
	return nil
}

// listen subscribes to systemd's signals: the ends of jobs, the signal that PID 1 has a new connection to the bus, and, if
// changes is true, the changes of units. The channel is closed when the connection is lost. The caller must pass the
// channel to unlisten.
func (l *link) listen(ctx context.Context, changes bool) (chan *dbus.Signal, error) {
	rules := [][]dbus.MatchOption{
		{dbus.WithMatchSender(busInterface), dbus.WithMatchInterface(busInterface),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName)},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(manager), dbus.WithMatchMember("JobRemoved")},
	}
	if changes {
		// There is one rule for all units, because dbus-daemon allows 512 rules per connection on the system bus and walks
		// them for every message. The watch ignores signals of other units by their path.
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

// subscribe asks PID 1 to send signals to the bus. PID 1 does so as long as one subscriber is connected, and remembers its
// subscribers when it re-executes itself.
func (l *link) subscribe(ctx context.Context) error {
	const key = "subscribed"
	if l.private || l.has(key) {
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

// gone returns a channel that is closed when the connection is lost.
func (l *link) gone() <-chan struct{} { return l.bus.Context().Done() }

// awaitManager waits until PID 1 owns its name on the bus. It also returns nil if the connection to the bus is lost: PID 1
// is the first to leave a bus that is stopped, and the next attempt makes a new connection.
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
	case lost(err):
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
		case <-l.gone():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: PID 1 has been away from the bus for %v", ErrLost, reconnectTime.Round(time.Second))
		}
	}
}

// managerReturned reports whether the signal announces that systemd is on the bus again, as after a re-execution.
func managerReturned(s *dbus.Signal) bool {
	if s.Name != busInterface+".NameOwnerChanged" || s.Path != busPath || len(s.Body) != 3 {
		return false
	}
	name, _ := s.Body[0].(string)
	owner, _ := s.Body[2].(string)
	return name == busName && owner != ""
}
