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

// round sends all requests (or as many as the bus allows) before it awaits the first reply, and returns the replies in the
// order of the requests, each with its own error. The error returned is that of the round as a whole: the context, or the connection.
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

// retry decides whether what failed is to be done again because the connection, or PID 1, went away under it.
type retry struct {
	since time.Time
	pause time.Duration
}

// after returns nil when it is time to try again, and the error for the caller otherwise.
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
	// Usually the first new connection is good. One to a bus that is about to end is not, and there is no event to wait for.
	r.pause = min(2*r.pause+time.Millisecond, time.Second)
	select {
	case <-time.After(r.pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// window is how many calls may be without a reply at once: dbus-daemon refuses more than 128 per connection on the system
// bus (dbus-daemon(1), max_replies_per_connection).
const window = 120

// round returns an error when any of the calls met a lost connection or an absent PID 1: then all are to be sent again,
// on whatever connection comes next. The operations on units are such that a second one does no harm.
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
		// No auto-start: the bus would try to launch a second systemd while PID 1 re-executes itself.
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

// match adds a rule, once per connection. PID 1's own socket has no rules and sends everything.
func (l *link) match(ctx context.Context, options ...dbus.MatchOption) error {
	key := fmt.Sprint(options)
	if l.private || l.has(key) {
		return nil
	}
	// Two goroutines may both add it: the bus sends a message once, however many rules fit.
	if err := l.bus.AddMatchSignalContext(ctx, options...); err != nil {
		return err
	}
	l.add(key)
	return nil
}

// listen makes systemd's signals come: ends of jobs, changes of units if asked for, and the news that PID 1 has a new
// connection to the bus. The channel is closed when the connection is lost; unlisten gives it back.
func (l *link) listen(ctx context.Context, changes bool) (chan *dbus.Signal, error) {
	rules := [][]dbus.MatchOption{
		{dbus.WithMatchSender(busInterface), dbus.WithMatchInterface(busInterface),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName)},
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(manager), dbus.WithMatchMember("JobRemoved")},
	}
	if changes {
		// One rule for all units, not one for each: dbus-daemon allows 512 rules per connection on the system bus and
		// walks them for every message. What is not ours is dropped by its path.
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

// subscribe asks PID 1 to send signals to the bus, which it does for as long as one subscriber is connected; it
// remembers its subscribers when it re-executes itself.
func (l *link) subscribe(ctx context.Context) error {
	const key = "subscribed"
	if l.private || l.has(key) {
		return nil
	}
	call := l.bus.Object(busName, managerPath).CallWithContext(ctx, manager+".Subscribe", dbus.FlagNoAutoStart)
	var answer dbus.Error
	if errors.As(call.Err, &answer) && answer.Name == busName+".AlreadySubscribed" {
		call.Err = nil // by another goroutine
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

// gone is closed when the connection is lost.
func (l *link) gone() <-chan struct{} { return l.bus.Context().Done() }

// awaitManager returns when PID 1 owns its name on the bus, or the bus itself has gone: PID 1 is the first to leave one that
// is stopped, and the next attempt makes another connection.
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

// managerReturned says whether the signal tells that systemd has come (back) to the bus, after a re-execution.
func managerReturned(s *dbus.Signal) bool {
	if s.Name != busInterface+".NameOwnerChanged" || s.Path != busPath || len(s.Body) != 3 {
		return false
	}
	name, _ := s.Body[0].(string)
	owner, _ := s.Body[2].(string)
	return name == busName && owner != ""
}
