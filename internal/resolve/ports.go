package resolve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// CheckPorts returns an error for each listener of an app whose address is in use or cannot be bound. If possible, the error
// names the app or process that has the address. CheckPorts closes each address again, so the socket unit can still fail
// later.
func (r *Resolver) CheckPorts(ctx context.Context, a units.App) error {
	var errs []error
	for _, l := range a.Listen {
		if err := r.checkListener(ctx, l); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (r *Resolver) checkListener(ctx context.Context, l units.Listener) error {
	err := tryBind(ctx, l)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fault.WithHint(fmt.Errorf("%s is in use%s", l.Description(), r.holder(l)), "use another: --listen %s", otherPort(l))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		// With FreeBind=, systemd can bind an address that is added later.
		r.Note("%s: the address is not on this machine (yet)", l.Description())
		return nil
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return nil
	}
	return fmt.Errorf("%s cannot be bound: %w", l.Description(), fault.Cause(err))
}

// tryBind binds the address of a listener and closes the socket. For a Unix socket, tryBind only tries to connect, because a
// bind would create a file.
func tryBind(ctx context.Context, l units.Listener) error {
	if l.Network == units.Unix {
		c, err := new(net.Dialer).DialContext(ctx, "unix", l.Path)
		if err != nil {
			return nil
		}
		_ = c.Close()
		return syscall.EADDRINUSE
	}
	host := ""
	if l.Host.IsValid() {
		host = l.Host.String()
	}
	var socket io.Closer
	var err error
	if addr := net.JoinHostPort(host, strconv.Itoa(int(l.Port))); l.Network == units.UDP {
		socket, err = new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
	} else {
		socket, err = new(net.ListenConfig).Listen(ctx, "tcp", addr)
	}
	if err == nil {
		_ = socket.Close()
	}
	return err
}

// otherPort returns listener l with the next port or another path, in the form of --listen.
func otherPort(l units.Listener) string {
	if l.Network == units.Unix {
		l.Path += "2"
	} else if l.Port < 65535 {
		l.Port++
	}
	return l.String()
}

// The method holder returns a text with the app or process that has the address of listener l, or "".
func (r *Resolver) holder(l units.Listener) string {
	names, _ := r.Store.Apps()
	for _, n := range names {
		other, err := r.Store.Load(n)
		if err != nil {
			continue
		}
		for _, m := range other.Listen {
			if m.Network == l.Network && m.Port == l.Port && m.Path == l.Path {
				return fmt.Sprintf(" by the app %q", n)
			}
		}
	}
	if l.Network == units.Unix {
		return ""
	}
	switch p, found := r.Host.Holder(l.Network == units.UDP, l.Port); {
	case !found:
		return ""
	case p.PID == 1:
		return " by a socket unit (systemctl list-sockets)"
	default:
		return fmt.Sprintf(" by %s (pid %d)", p.Name, p.PID)
	}
}
