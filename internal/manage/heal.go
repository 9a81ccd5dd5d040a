package manage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// heal opens the listeners again that no client reaches. It needs root. A TCP listener that was shut down listens again. Any
// other one needs a new socket. Then replaced is true, and the caller must replace the workers, which still have the old
// socket; it is also true if a heal was killed before that.
func (s *Session) heal(ctx context.Context) (replaced bool, err error) {
	u, err := s.listenAgain(ctx, s.app)
	if err != nil {
		return false, err
	}
	if held := u.Held(); len(held) > 0 {
		err := fmt.Errorf("%s: a worker has shut down %s, and the workers hold the name", s.Name, strings.Join(status.Addresses(held), " "))
		return false, fault.WithHint(err, "%s", status.StopAndStart(s.Name))
	}
	var names []string
	for _, l := range u.All() {
		s.Note("%s: clients do not reach %s any more, so the socket is opened again", s.Name, l)
		if unit := s.app.SocketUnit(l); !slices.Contains(names, unit) {
			names = append(names, unit)
		}
	}
	if len(names) == 0 {
		return len(u.Late) > 0, nil
	}
	ctx = context.WithoutCancel(ctx) // no socket stays closed
	for _, unit := range names {
		if err := s.isolatedJob(ctx, control.Stop, unit); err != nil {
			return false, err
		}
	}
	return true, s.openSockets(ctx, names)
}

// healListening is heal where no socket may be opened again, so such a listener is an error: for one instance, since all of
// them would need it, and for the job of a reload of the aggregate, which must be stopped before PID 1 opens its socket.
func (s *Session) healListening(ctx context.Context, a units.App) error {
	u, err := s.listenAgain(ctx, a)
	if all := u.All(); err == nil && len(all) > 0 {
		err = fault.WithHint(fmt.Errorf("%s: clients do not reach %s", s.Name, strings.Join(status.Addresses(all), " ")),
			"sudo clusterctl reload %s", s.Name)
	}
	return err
}

// listenAgain makes the TCP listeners of the app listen again that a worker has shut down. It returns what needs a new socket.
func (s *Session) listenAgain(ctx context.Context, a units.App) (u status.Unreachable, err error) {
	if len(a.Listen) == 0 || !s.Root {
		return u, nil // the workers, and the job of an operator's reload, do it
	}
	states, err := s.Conn.States(ctx, status.Units(a, s.listed)) // without the list, only the listeners are looked at
	if err != nil {
		return u, err
	}
	sockets, _ := s.Sockets() // without the sockets there is nothing to bring back
	u = status.FindUnreachable(s.Host, a, states, sockets)
	if len(u.Silent) == 0 {
		return u, nil
	}
	var shut []inspect.Address
	for _, l := range u.Silent {
		at, _ := status.AddressOf(l)
		shut = append(shut, at)
	}
	n, err := inspect.ListenAgain(shut)
	if n > 0 {
		s.Note("%s: a worker had shut down the listener; it listens again", s.Name)
	}
	sockets, _ = s.Sockets()
	u = status.FindUnreachable(s.Host, a, states, sockets)
	if err == nil {
		// For these ports PID 1 has no socket that inspect can see: a drop-in may have put it into another network namespace.
		u.Silent = slices.DeleteFunc(u.Silent, func(l units.Listener) bool { return l.Network == units.TCP })
	} else {
		s.Note("%s: %v", s.Name, err)
	}
	return u, nil
}
