package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// probeReport is the report of a probe.
type probeReport contract.Report

// probe runs the program once, as the user and in the sandbox that the instances will have, until it listens, and takes
// over what it was about to bind. It is killed before it serves anyone: what it binds are decoys.
func (e *env) probe(ctx context.Context, a *units.App, times probeTimes) (r probeReport, err error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	lock, err := e.lock(ctx, a.Name)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, e.endProbe(*a, lock)) }()
	target, err := e.targetOf(a.Name)
	if err != nil {
		return r, err
	}
	if err := e.checkSecrets(*a); err != nil {
		return r, err
	}
	target.Values = e.store.ProbeValues(a.Name)
	if now, err := e.store.Load(a.Name); err == nil {
		target.Sockets = now.SocketFiles()
	}
	p, err := units.RenderProbe(*a, target, times.limit, times.idle)
	if err != nil {
		return r, err
	}
	if len(a.Env) > 0 {
		if err := e.store.WriteProbeValues(a.Name, units.RenderValues(*a)); err != nil {
			return r, err
		}
	}
	if err := e.announceProbe(ctx, conn, *a, times.limit); err != nil {
		return r, err
	}
	removeDirs, err := makeSocketDirs(a.SocketFiles())
	if err != nil {
		return r, err
	}
	defer removeDirs()
	started := e.now()
	data, err := e.runProbe(ctx, conn, a.Name, p)
	if err != nil {
		return r, explainInstance(context.WithoutCancel(ctx), err, "", started)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("reading the report of the probe: %w", err)
	}
	if err := r.failed(*a, p.Path); err != nil {
		return r, explainInstance(context.WithoutCancel(ctx), err, "", started)
	}
	return r, e.adopted(a, r)
}

// announceProbe says what is about to run, before it runs: a program without a port, such as a queue consumer, begins its
// work in the probe, and is killed in the middle of it.
func (e *env) announceProbe(ctx context.Context, conn *control.Conn, a units.App, timeout time.Duration) error {
	now, err := e.nowUp(ctx, conn, a)
	if err != nil {
		return err
	}
	var words []string
	for _, w := range a.Command {
		words = append(words, text.Shell(w))
	}
	e.note("probe: running %s once to see what it listens on, as %s, for at most %s", strings.Join(words, " "), runsAs(a), text.Duration(timeout))
	avoid := "--no-listen for a program without a port, or --no-probe with --listen PORT"
	if len(a.Listen) > 0 {
		avoid = "--no-probe"
	}
	e.note("probe: this is a real run, with the environment and the files of the app; to avoid it: %s", avoid)
	if n := len(now.instances); n > 0 {
		e.note("probe: %s is running (%s), and this run is beside it", a.Name, text.Count(n, "instance"))
	}
	return nil
}

// endProbe releases the lock. It removes the app's directory in /run and the lock file, since the app may never be installed.
// If another command has installed the app during the probe, endProbe keeps both.
func (e *env) endProbe(a units.App, lock *install.Lock) error {
	valuesErr := e.store.RemoveProbeValues(a.Name)
	var gone *install.NotInstalledError
	if _, err := e.store.Load(a.Name); !errors.As(err, &gone) {
		return errors.Join(valuesErr, lock.Unlock())
	}
	return errors.Join(valuesErr, e.store.RemoveRuntimeState(a.Name), lock.Remove())
}

// runProbe starts the unit of the probe and brings back its report; the unit and its file are gone afterwards.
func (e *env) runProbe(ctx context.Context, conn *control.Conn, app units.Name, unit units.File) (data []byte, err error) {
	report, removeReport, err := e.store.NewReport(app)
	if err != nil {
		return nil, err
	}
	defer removeReport()
	remove, err := e.store.WriteRuntime(unit)
	if err != nil {
		return nil, err
	}
	defer func() {
		// After an interrupt too: nothing of the probe may stay.
		clean := context.WithoutCancel(ctx)
		_, stopErr := conn.Do(clean, control.Stop, control.Replace, unit.Path)
		err = errors.Join(err, stopErr, remove(), conn.Reload(clean), conn.ResetFailed(clean, unit.Path))
	}()
	if err := conn.Reload(ctx); err != nil {
		return nil, err
	}
	outcomes, err := conn.Do(ctx, control.Start, control.Replace, unit.Path)
	if err != nil {
		return nil, err
	}
	if outcomes[0].Err != nil {
		return nil, outcomes[0].Err
	}
	if outcomes[0].Result != control.Done {
		states, err := conn.States(ctx, []string{unit.Path})
		if err != nil {
			return nil, err
		}
		return nil, &control.InstanceError{Unit: unit.Path, Reason: control.Explain(states[0]), State: states[0]}
	}
	return readReport(report)
}

// maxReport is far more than a report of the shim's is long.
const maxReport = 1 << 20

// readReport reads what the probe has written, as the user of the program: it may be anything, and of any length.
func readReport(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the report of the probe: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxReport) {
		err = errors.New("it is not what the shim writes")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the report of the probe: %w", err)
	}
	return io.ReadAll(io.LimitReader(f, maxReport))
}

// adopted takes the listeners of the report, or holds those that were asked for against it.
func (e *env) adopted(a *units.App, r probeReport) error {
	if err := e.leaveMulticast(*a, r); err != nil {
		return err
	}
	if err := e.takeListeners(a, r); err != nil {
		return err
	}
	e.keepOptions(a, r)
	e.noteProgramMode(*a, r)
	return nil
}

func (e *env) takeListeners(a *units.App, r probeReport) error {
	found := r.listeners()
	if len(found) == 0 {
		found = r.sockets()
	}
	a.Shim.HoldAccept, a.Shim.Blocking = r.HoldAccept, !r.NonBlocking
	switch {
	case len(found) == 0 && len(a.Listen) == 0:
		e.noteBackground(r)
		a.Shim.HoldAccept, a.Shim.Blocking = false, false
		return nil
	case len(found) == 0 && r.listensOnPathOf(*a):
		return nil
	case len(found) == 0:
		e.note("probe: %s; taking --listen as it is", r.silence())
		a.Shim.HoldAccept, a.Shim.Blocking = false, false
		return nil
	case len(a.Listen) == 0:
		for i := range found {
			if found[i].Network == units.TCP && found[i].Port != found[0].Port {
				// Each name is a socket unit; the first keeps the plain one.
				found[i].Name = fmt.Sprintf("%s-%d", units.DefaultStreamName, found[i].Port)
			}
			e.note("probe: it listens on %s", describeListener(found[i]))
		}
		a.Listen = found
		return nil
	}
	return e.matchProbe(a, found)
}

// matchProbe gives the listeners that were asked for the addresses that the program binds. A bare port does not open
// more than the program asked for: a program for the loopback alone stays there. It gets the program's family, too: a
// server that works on IPv4 sockets does not understand an IPv6 one (nginx and Bun, for two). A listener that the program
// does not bind is an error now, and not a worker that never gets ready.
func (e *env) matchProbe(a *units.App, found []units.Listener) error {
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
		case len(binds) == 0 && found[0].Network == units.Unix:
			return fault.WithHint(fmt.Errorf("the program does not bind port %d, for --listen %s; it binds %s", l.ProgramPort(), l, describeAll(found)),
				"--listen %s, or tell the program its port", found[0])
		case len(binds) == 0:
			return fault.WithHint(fmt.Errorf("the program does not bind port %d, for --listen %s; it binds %s", l.ProgramPort(), l, describeAll(found)),
				"--listen %s, or tell the program its port", mapped(l, found[0]))
		case l.Network == units.Unix || l.Host.IsValid():
			listen = append(listen, l)
		case l.Bind == 0 && !slices.ContainsFunc(binds, everywhere):
			listen = append(listen, e.byAddress(l, binds)...)
		case !four:
			listen = append(listen, l)
		default:
			listen = append(listen, e.byFamily(l, six)...)
		}
		if l.Bind != 0 && l.Network != units.Unix && !l.Host.IsValid() && !slices.ContainsFunc(binds, everywhere) {
			e.note("probe: the program binds only %s; --listen %s opens port %d to other machines", describeAll(binds), l, l.Port)
		}
	}
	a.Listen = listen
	return nil
}

// byFamily splits a bare port for a program that binds IPv4 alone, or one socket for each family.
func (e *env) byFamily(l units.Listener, both bool) []units.Listener {
	four, six := l, l
	four.Host, six.Host = netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if both {
		e.note("probe: %s becomes one socket each for IPv4 and IPv6, as the program has it", describeListener(l))
		return []units.Listener{four, six}
	}
	e.note("probe: %s becomes IPv4 only, as the program has it", describeListener(l))
	return []units.Listener{four}
}

// covers: of two such TCP binds the kernel refuses the second (EADDRINUSE); the decoys of the probe refuse nothing. An
// IPv4 address beside an IPv6 socket is none of them, since that may be for IPv6 alone.
func covers(wide, l units.Listener) bool {
	if wide.Network != units.TCP || l.Network != units.TCP || wide.Port != l.Port || !l.Host.IsValid() || l.Host.IsUnspecified() {
		return false
	}
	if l.Host.Is4() {
		return wide.Host == netip.IPv4Unspecified()
	}
	return !wide.Host.IsValid() || wide.Host == netip.IPv6Unspecified()
}

// listeners are the binds of ports that instances can share, in the order in which they were made, each port once.
func (r probeReport) listeners() []units.Listener {
	var list []units.Listener
	for _, b := range r.Binds {
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
