package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units"
)

// Probe runs the program of an app once, with the user and the sandbox of the instances, and returns the addresses that the
// program binds.
type Probe func(context.Context, units.App, Times) (contract.Report, error)

// Times has the time limits of a probe. If a program does not listen, the probe ends after Limit, or as soon as the program
// was idle for the time Idle. If Idle is 0, only Limit applies.
type Times struct{ Limit, Idle time.Duration }

// ListenOptions are the options of [Resolver.Listeners].
type ListenOptions struct {
	// The field None is set for an app without listeners.
	None bool
	// NoProbe is set if the user forbids the probe. DryRun is set if the command must not run the program or change
	// anything.
	NoProbe, DryRun bool
	Times           Times
	// Longer is set if this probe may take longer than the probe of the installed app.
	Longer bool
	// GivenDrain is set if the user has chosen the value of Shim.HoldAccept, which must then not change.
	GivenDrain bool
}

// Listeners returns the app with its listeners, which it takes from the installed app, from --listen or from a probe. The
// report is nil if Listeners did not call the function probe.
func (r *Resolver) Listeners(ctx context.Context, a units.App, o ListenOptions, probe Probe) (units.App, *contract.Report, error) {
	var report *contract.Report
	requested := a.Shim.HoldAccept
	switch {
	case o.None:
		return a, nil, nil
	case r.keepListeners(&a, o.Longer):
	case a.Activation == units.Native || o.NoProbe:
		return a, nil, RequireListener(a)
	case o.DryRun && len(a.Listen) > 0:
		return a, nil, nil
	case o.DryRun:
		return a, nil, fault.WithHint(fault.Usagef("listen: missing address; a dry run does not run the program to find it"), listenHint)
	default:
		found, err := probe(ctx, a, o.Times)
		if err == nil {
			a, err = r.applyReport(a, found)
		}
		if err != nil {
			return a, nil, err
		}
		report = &found
	}
	if o.GivenDrain {
		a.Shim.HoldAccept = requested
	}
	return a, report, nil
}

// If a probe would find the listeners of the installed app, keepListeners gives these listeners to the app *a and returns
// true. Some programs, for example programs with Node's cluster module, fail in a probe if the app is already running. If
// the parameter longerProbe is set, this probe may take longer than the probe of the installed app, and may find a listener
// that the earlier probe has not found.
func (r *Resolver) keepListeners(a *units.App, longerProbe bool) bool {
	installed, err := r.Store.Load(a.Name)
	if err != nil || !sameListeners(installed, *a) || longerProbe && len(installed.Listen) == 0 {
		return false
	}
	a.Listen, a.SocketOptions = slices.Clone(installed.Listen), slices.Clone(installed.SocketOptions)
	a.Shim.HoldAccept, a.Shim.Blocking = installed.Shim.HoldAccept, installed.Shim.Blocking
	return true
}

// sameListeners reports whether the requested app has the same listeners as the installed app.
//
// Without --listen, the command, the directory, --increment and all variables that can carry a port must be equal in both
// apps. These are variables with PORT in their name, and variables with a port of the installed app in their value. With
// --listen, only the program and the addresses must be equal. If the program binds another port for another reason, its
// workers do not become ready, and the update fails.
func sameListeners(installed, requested units.App) bool {
	if installed.Activation != requested.Activation || installed.Command[0] != requested.Command[0] {
		return false
	}
	if len(requested.Listen) > 0 {
		return slices.Equal(installed.Listen, requested.Listen)
	}
	return slices.Equal(installed.Command, requested.Command) && installed.Directory == requested.Directory &&
		slices.Equal(installed.Shim.Increment, requested.Shim.Increment) && !portsDiffer(installed, requested)
}

// portsDiffer reports whether a variable that can carry a port is in only one of the apps, or has different values.
func portsDiffer(installed, requested units.App) bool {
	carriesPort := func(v units.EnvVar) bool {
		numbers := strings.FieldsFunc(v.Value, func(c rune) bool { return c < '0' || c > '9' })
		return strings.Contains(strings.ToUpper(v.Name), "PORT") || slices.ContainsFunc(installed.Listen, func(l units.Listener) bool {
			return l.ProgramPort() != 0 && slices.Contains(numbers, strconv.Itoa(int(l.ProgramPort())))
		})
	}
	hasOther := func(a, b []units.EnvVar) bool {
		return slices.ContainsFunc(a, func(v units.EnvVar) bool { return carriesPort(v) && !slices.Contains(b, v) })
	}
	return hasOther(installed.Env, requested.Env) || hasOther(requested.Env, installed.Env)
}

const listenHint = "use --listen 8080, or --no-listen for a background app"

// RequireListener returns an error for an app without a listener.
func RequireListener(a units.App) error {
	if len(a.Listen) > 0 {
		return nil
	}
	return fault.WithHint(fault.Usagef("listen: missing address"), listenHint)
}

// applyReport returns the app with listeners and socket options from the report. applyReport returns an error if the program
// does not bind an address of --listen.
func (r *Resolver) applyReport(a units.App, found contract.Report) (units.App, error) {
	if err := r.checkMulticast(a, found); err != nil {
		return a, err
	}
	if err := r.setListeners(&a, found); err != nil {
		return a, err
	}
	r.setOptions(&a, found)
	r.noteProgramMode(a, found)
	return a, nil
}

func (r *Resolver) setListeners(a *units.App, report contract.Report) error {
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
		r.Note("probe: %s; using --listen unchanged", noListenerReason(report))
		a.Shim.HoldAccept, a.Shim.Blocking = false, false
		return nil
	case len(a.Listen) == 0:
		for i := range found {
			if found[i].Network == units.TCP && found[i].Port != found[0].Port {
				// Each listener name has its own socket unit. The first listener has the default name.
				found[i].Name = fmt.Sprintf("%s-%d", units.DefaultStreamName, found[i].Port)
			}
			r.Note("probe: the program listens on %s", found[i].Description())
		}
		a.Listen = found
		return nil
	}
	return r.matchProbe(a, found)
}

// matchProbe compares the listeners of --listen with the listeners that the program binds, which are in the parameter found.
// If --listen has only a port, and the program binds only the loopback interface or only IPv4, the app gets listeners with
// the addresses of the program. Servers such as nginx and Bun need these listeners, because they fail if they bind IPv4 and
// get an IPv6 socket. matchProbe returns an error for a listener that the program does not bind, because the workers would
// never become ready.
func (r *Resolver) matchProbe(a *units.App, found []units.Listener) error {
	var listen []units.Listener
	for _, l := range a.Listen {
		if l.Network == units.Unix && l.Bind == 0 {
			if err := checkPath(l, found); err != nil {
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
		case l.Bind == 0 && !slices.ContainsFunc(binds, onAllAddresses):
			listen = append(listen, r.byAddress(l, binds)...)
		case !four:
			listen = append(listen, l)
		default:
			listen = append(listen, r.byFamily(l, six)...)
		}
		if l.Bind != 0 && l.Network != units.Unix && !l.Host.IsValid() && !slices.ContainsFunc(binds, onAllAddresses) {
			r.Note("probe: the program binds only %s; --listen %s opens port %d to other machines", describeAll(binds), l, l.Port)
		}
	}
	a.Listen = listen
	return nil
}

func notBound(l units.Listener, found []units.Listener) error {
	err := fmt.Errorf("the program does not bind port %d, for --listen %s; it binds %s", l.ProgramPort(), l, describeAll(found))
	other := found[0]
	if port := other.Port; other.Network != units.Unix {
		if other = l; port == l.Port {
			port = 0
		}
		other.Bind = port
	}
	return fault.WithHint(err, "use --listen %s, or configure the port in the program", other)
}

// byFamily returns a copy of listener l, which has no address, for IPv4. If the parameter addIPv6 is set, it also returns a
// copy for IPv6.
func (r *Resolver) byFamily(l units.Listener, addIPv6 bool) []units.Listener {
	four, six := l, l
	four.Host, six.Host = netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if addIPv6 {
		r.Note("probe: %s becomes one IPv4 and one IPv6 socket, as in the program", l.Description())
		return []units.Listener{four, six}
	}
	r.Note("probe: %s becomes IPv4 only, as in the program", l.Description())
	return []units.Listener{four}
}

// includesAddress reports whether the kernel would refuse to bind listener l (EADDRINUSE), because listener wide is
// already bound to the same TCP port on all addresses. In the probe both binds succeed, because the shim binds decoy
// addresses. Separate sockets for IPv4 and for only IPv6 do not cover each other.
func includesAddress(wide, l units.Listener) bool {
	if wide.Network != units.TCP || l.Network != units.TCP || wide.Port != l.Port || !l.Host.IsValid() || l.Host.IsUnspecified() {
		return false
	}
	if l.Host.Is4() {
		return wide.Host == netip.IPv4Unspecified()
	}
	return !wide.Host.IsValid() || wide.Host == netip.IPv6Unspecified()
}

// listeners returns the bound ports in a report that instances can share, in the order of the binds. listeners omits
// duplicates.
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
			// The socket accepts IPv6 and IPv4, like a port without an address.
			l.Host = netip.Addr{}
		}
		if !slices.ContainsFunc(list, func(m units.Listener) bool { return l == m || includesAddress(l, m) || includesAddress(m, l) }) {
			list = append(list, l)
		}
	}
	for i, l := range list {
		four := l
		four.Host = netip.IPv4Unspecified()
		// If the program also has an IPv4 socket for this port, its IPv6 socket accepts only IPv6. The report does not
		// always contain v6only, because the sandbox may forbid pidfd_getfd.
		if !l.Host.IsValid() && slices.Contains(list, four) {
			list[i].Host = netip.IPv6Unspecified()
		}
	}
	return list
}
