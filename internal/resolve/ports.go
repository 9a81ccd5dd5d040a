package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// CheckPorts tries to bind each listener of an app before anything is written. The error of an address in use names who holds
// it. Success promises nothing: the start of the socket unit decides.
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
		holder := r.holder(l)
		return fault.WithHint(fmt.Errorf("%s is taken%s", l.Description(), holder), "choose another: --listen %s", otherPort(l))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		// FreeBind= lets systemd bind an address that is added later.
		r.Note("%s: the address is not on this machine (yet)", l.Description())
		return nil
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return nil
	}
	return fmt.Errorf("%s cannot be bound: %w", l.Description(), fault.Cause(err))
}

// tryBind binds, and closes at once. A Unix socket is connected to instead: binding would leave a file behind.
func tryBind(ctx context.Context, l units.Listener) error {
	var lc net.ListenConfig
	host := ""
	if l.Host.IsValid() {
		host = l.Host.String()
	}
	addr := net.JoinHostPort(host, strconv.Itoa(int(l.Port)))
	switch l.Network {
	case units.Unix:
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", l.Path)
		if err != nil {
			return nil
		}
		_ = c.Close()
		return syscall.EADDRINUSE
	case units.UDP:
		c, err := lc.ListenPacket(ctx, "udp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	c, err := lc.Listen(ctx, "tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err
}

// otherPort returns the same listener with the next port.
func otherPort(l units.Listener) string {
	if l.Network == units.Unix {
		l.Path += "2"
	} else if l.Port < 65535 {
		l.Port++
	}
	return l.String()
}

// holder returns who has the address: another app of ours, or the first process found with the socket.
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
