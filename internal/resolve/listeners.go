package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// Probe runs the program of an app once, as the user and in the sandbox that the instances will have, and returns what it was
// about to bind.
type Probe func(context.Context, units.App, Times) (contract.Report, error)

// Times bound a probe. A program that listens on nothing may be idle for the time Idle; 0 is as long as Limit.
type Times struct{ Limit, Idle time.Duration }

// ListenOptions say how the listeners of an app are found.
type ListenOptions struct {
	// None: the app has no listeners.
	None bool
	// NoProbe: the program must not be run. DryRun is the same for a command that changes nothing.
	NoProbe, DryRun bool
	Times           Times
	// Longer: the probe may take longer than the last one.
	Longer bool
	// GivenDrain: HoldAccept of the app stays as it is.
	GivenDrain bool
}

// Listeners returns the app with its listeners: its present ones, the ones that were asked for, or the ones that a probe finds.
// The report is nil without a probe.
func (r *Resolver) Listeners(ctx context.Context, a units.App, o ListenOptions, probe Probe) (units.App, *contract.Report, error) {
	var report *contract.Report
	asked := a.Shim.HoldAccept
	switch {
	case o.None:
		return a, nil, nil
	case r.keepListeners(&a, o.Longer):
	case a.Activation == units.Native || o.NoProbe:
		return a, nil, RequireListener(a)
	case o.DryRun && len(a.Listen) > 0:
		return a, nil, nil
	case o.DryRun:
		return a, nil, fault.WithHint(fault.Usagef("where does the app listen? A dry run does not run the program to find out"),
			"give --listen 8080, or --no-listen")
	default:
		found, err := probe(ctx, a, o.Times)
		if err == nil {
			a, err = r.adopt(a, found)
		}
		if err != nil {
			return a, nil, err
		}
		report = &found
	}
	if o.GivenDrain {
		a.Shim.HoldAccept = asked
	}
	return a, report, nil
}

// RequireListener refuses an app without a listener, which nothing but a probe could find.
func RequireListener(a units.App) error {
	if len(a.Listen) > 0 {
		return nil
	}
	return fault.WithHint(fault.Usagef("where does the app listen?"), "give --listen 8080, or --no-listen for a background app")
}

// adopt returns the app with the listeners of the report. It returns an error if the program does not bind what was asked for.
func (r *Resolver) adopt(a units.App, found contract.Report) (units.App, error) {
	if err := r.leaveMulticast(a, found); err != nil {
		return a, err
	}
	if err := r.takeListeners(&a, found); err != nil {
		return a, err
	}
	r.keepOptions(&a, found)
	r.noteProgramMode(a, found)
	return a, nil
}

func (r *Resolver) takeListeners(a *units.App, report contract.Report) error {
	found := listeners(report)
	if len(found) == 0 {
		found = sockets(report)
	}
	a.Shim.HoldAccept, a.Shim.Blocking = report.HoldAccept, !report.NonBlocking
	switch {
	case len(found) == 0 && len(a.Listen) == 0:
		r.noteBackground(report)
		a.Shim.HoldAccept, a.Shim.Blocking = false, false
		return nil
	case len(found) == 0 && listensOnPathOf(report, *a):
		return nil
	case len(found) == 0:
		r.Note("probe: %s; taking --listen as it is", silence(report))
		a.Shim.HoldAccept, a.Shim.Blocking = false, false
		return nil
	case len(a.Listen) == 0:
		for i := range found {
			if found[i].Network == units.TCP && found[i].Port != found[0].Port {
				// Each name is a socket unit. The first one has the default name.
				found[i].Name = fmt.Sprintf("%s-%d", units.DefaultStreamName, found[i].Port)
			}
			r.Note("probe: it listens on %s", found[i].Description())
		}
		a.Listen = found
		return nil
	}
	return r.matchProbe(a, found)
}

// matchProbe gives the listeners that were asked for the addresses that the program binds. A bare port does not open more than
// the program asked for: a program that binds only the loopback interface stays there. The port gets the program's family, too:
// some servers for IPv4 sockets fail on an IPv6 socket (nginx and Bun, for example). A listener that the program does not bind
// is an error now; the worker would never get ready.
func (r *Resolver) matchProbe(a *units.App, found []units.Listener) error {
	var listen []units.Listener
	for _, l := range a.Listen {
		if l.Network == units.Unix && l.Bind == 0 {
			if err := wrongPath(l, found); err != nil {
				return err
			}
			listen = append(listen, l)
			continue
		}
		binds := slices.DeleteFunc(slices.Clone(found), func(f units.Listener) bool {
			return f.Port != l.ProgramPort() || (f.Network == units.UDP) != (l.Network == units.UDP)
		})
		four := slices.ContainsFunc(binds, func(f units.Listener) bool { return f.Host.Is4() })
		six := slices.ContainsFunc(binds, func(f units.Listener) bool { return !f.Host.Is4() })
		switch {
		case len(binds) == 0:
			return notBound(l, found)
		case l.Network == units.Unix || l.Host.IsValid():
			listen = append(listen, l)
		case l.Bind == 0 && !slices.ContainsFunc(binds, everywhere):
			listen = append(listen, r.byAddress(l, binds)...)
		case !four:
			listen = append(listen, l)
		default:
			listen = append(listen, r.byFamily(l, six)...)
		}
		if l.Bind != 0 && l.Network != units.Unix && !l.Host.IsValid() && !slices.ContainsFunc(binds, everywhere) {
			r.Note("probe: the program binds only %s; --listen %s opens port %d to other machines", describeAll(binds), l, l.Port)
		}
	}
	a.Listen = listen
	return nil
}

// notBound is the error of a listener that the program does not bind.
func notBound(l units.Listener, found []units.Listener) error {
	err := fmt.Errorf("the program does not bind port %d, for --listen %s; it binds %s", l.ProgramPort(), l, describeAll(found))
	if found[0].Network == units.Unix {
		return fault.WithHint(err, "--listen %s, or tell the program its port", found[0])
	}
	return fault.WithHint(err, "--listen %s, or tell the program its port", mapped(l, found[0]))
}

// byFamily returns listeners for IPv4, or for each family if the program binds both, in place of a bare port.
func (r *Resolver) byFamily(l units.Listener, both bool) []units.Listener {
	four, six := l, l
	four.Host, six.Host = netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if both {
		r.Note("probe: %s becomes one socket each for IPv4 and IPv6, as the program has it", l.Description())
		return []units.Listener{four, six}
	}
	r.Note("probe: %s becomes IPv4 only, as the program has it", l.Description())
	return []units.Listener{four}
}

// covers reports whether the kernel would refuse the second of two TCP binds (EADDRINUSE), which the decoys of the probe do
// not. It does not for an IPv4 address beside an IPv6 socket, since that may be for IPv6 alone.
func covers(wide, l units.Listener) bool {
	if wide.Network != units.TCP || l.Network != units.TCP || wide.Port != l.Port || !l.Host.IsValid() || l.Host.IsUnspecified() {
		return false
	}
	if l.Host.Is4() {
		return wide.Host == netip.IPv4Unspecified()
	}
	return !wide.Host.IsValid() || wide.Host == netip.IPv6Unspecified()
}

// listeners returns the binds of ports that instances can share, in the order in which they were made, each port once.
func listeners(found contract.Report) []units.Listener {
	var list []units.Listener
	for _, b := range found.Binds {
		l := units.Listener{Port: b.Port}
		switch {
		case b.Multicast:
			continue
		case b.Type == "dgram":
			l.Network = units.UDP
		case !b.Listening:
			continue
		}
		addr, err := netip.ParseAddr(b.Address)
		if err != nil || b.Port == 0 || b.Family == "unix" {
			continue
		}
		if l.Host = addr.Unmap(); addr.Is6() && addr.IsUnspecified() && !b.V6Only {
			// One socket for IPv6 and IPv4, which is what a bare port means.
			l.Host = netip.Addr{}
		}
		if !slices.ContainsFunc(list, func(m units.Listener) bool { return l == m || covers(l, m) || covers(m, l) }) {
			list = append(list, l)
		}
	}
	for i, l := range list {
		four := l
		four.Host = netip.IPv4Unspecified()
		// Beside a socket for IPv4 there can only be one for IPv6 alone. The probe cannot always ask for that: pidfd_getfd is
		// not among the system calls of the sandbox.
		if !l.Host.IsValid() && slices.Contains(list, four) {
			list[i].Host = netip.IPv6Unspecified()
		}
	}
	return list
}
