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

// reopenListeners opens each listener again that clients do not reach. A TCP listener that a worker has shut down only has
// to listen again. Any other listener gets a new socket; replaced is then true, and the caller must replace the workers,
// which still have the old socket. replaced is also true if an earlier command was killed between the two. Without root,
// reopenListeners does nothing.
func (s *Session) reopenListeners(ctx context.Context) (replaced bool, err error) {
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
	ctx = context.WithoutCancel(ctx) // an interrupt must not leave a socket closed
	for _, unit := range names {
		if err := s.isolatedJob(ctx, control.Stop, unit); err != nil {
			return false, err
		}
	}
	return true, s.openSockets(ctx, names)
}

// ensureListening makes TCP listeners listen again that a worker has shut down. It returns an error for a listener that
// needs a new socket. A command on one instance must not open a socket, because then all instances must be replaced. The
// reload job of the aggregate cannot open a socket, because PID 1 requires that the aggregate is stopped.
func (s *Session) ensureListening(ctx context.Context, a units.App) error {
	u, err := s.listenAgain(ctx, a)
	if all := u.All(); err == nil && len(all) > 0 {
		err = fault.WithHint(fmt.Errorf("%s: clients do not reach %s", s.Name, strings.Join(status.Addresses(all), " ")),
			"sudo clusterctl reload %s", s.Name)
	}
	return err
}

// listenAgain makes TCP listeners listen again that a worker has shut down, and returns the listeners that need a new
// socket.
func (s *Session) listenAgain(ctx context.Context, a units.App) (u status.Unreachable, err error) {
	if len(a.Listen) == 0 || !s.Root {
		return u, nil // without root, the workers and the job of a reload do it
	}
	states, err := s.Conn.States(ctx, status.Units(a, s.listed)) // s.listed may be 0, because only the sockets matter
	if err != nil {
		return u, err
	}
	sockets, _ := s.Sockets() // after an error nothing is unreachable
	u = status.FindUnreachable(s.Host, a, states, sockets)
	if len(u.Silent) == 0 {
		return u, nil
	}
	var shutDown []inspect.Address
	for _, l := range u.Silent {
		address, _ := status.AddressOf(l)
		shutDown = append(shutDown, address)
	}
	n, err := inspect.ListenAgain(shutDown)
	if n > 0 {
		s.Note("%s: a worker had shut down the listener; it listens again", s.Name)
	}
	sockets, _ = s.Sockets()
	u = status.FindUnreachable(s.Host, a, states, sockets)
	if err == nil {
		// PID 1 has no visible socket for the remaining ports: a drop-in may have put it into another network namespace.
		u.Silent = slices.DeleteFunc(u.Silent, func(l units.Listener) bool { return l.Network == units.TCP })
	} else {
		s.Note("%s: %v", s.Name, err)
	}
	return u, nil
}
