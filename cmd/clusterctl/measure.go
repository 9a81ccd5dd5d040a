package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// cpuInterval is the time over which the CPU use is measured where nothing was measured before.
const cpuInterval = 200 * time.Millisecond

// meter measures the CPU use of cgroups between two looks.
type meter struct {
	host   inspect.Host
	now    func() time.Time
	before map[string]cpuMark
	// at is the time of the last mark, last what it gave, nil if it was nothing.
	at   time.Time
	last map[string]float64
	// begun says that before was written by begin, and nothing has been measured yet.
	begun bool
}

type cpuMark struct {
	used time.Duration
	at   time.Time
}

func (e *env) newMeter() *meter {
	return &meter{host: e.host, now: e.now, before: map[string]cpuMark{}}
}

// begin notes what the instances have used so far, in the cgroups where our units put them: so the time in which systemd is
// asked for their states is a part of that over which the CPU use is measured, and not added to it.
func (m *meter) begin(apps []listedApp) {
	for _, a := range apps {
		for i := range a.listed {
			path := "/clusterctl.slice/" + a.app.Name.Slice() + "/" + a.app.Name.Instance(i+1)
			if used, ok := m.host.CPU(path); ok {
				m.before[path] = cpuMark{used, m.now()}
			}
		}
	}
	m.at, m.begun = m.now(), true
}

// covers says whether begin has found all that runs. A Slice= of somebody's own is elsewhere.
func (m *meter) covers(states []control.State) bool {
	for _, st := range states {
		if _, ok := m.before[st.ControlGroup]; !ok && st.ControlGroup != "" {
			return false
		}
	}
	return m.begun
}

// mark notes what each running unit has used so far, and gives the use since the mark before, in percent of one CPU. A
// cgroup that was not there then, or is another one of the same name, has none.
func (m *meter) mark(states []control.State) map[string]float64 {
	if m.last != nil && m.now().Sub(m.at) < cpuInterval {
		return m.last // too short a time to say anything
	}
	marks, cpu := map[string]cpuMark{}, map[string]float64{}
	for _, st := range states {
		if st.ControlGroup == "" {
			continue
		}
		used, ok := m.host.CPU(st.ControlGroup)
		if !ok {
			continue
		}
		now := cpuMark{used, m.now()}
		marks[st.ControlGroup] = now
		if was, ok := m.before[st.ControlGroup]; ok && now.used >= was.used && now.at.After(was.at) {
			share := 100 * float64(now.used-was.used) / float64(now.at.Sub(was.at))
			cpu[st.ControlGroup] = math.Round(100*share) / 100 // more figures would be noise
		}
	}
	m.before, m.at, m.last = marks, m.now(), cpu
	if len(cpu) == 0 {
		m.last = nil
	}
	return cpu
}

// measure finds out all that systemd does not say of some apps: one look at the sockets of the machine, and a few files for
// each instance. states are those of unitsOf, app after app. It waits until cpuInterval is over since the meter has begun, or
// from now on if it has not; a nil one leaves the CPU use out.
func (e *env) measure(ctx context.Context, m *meter, apps []listedApp, states [][]control.State) ([]facts, error) {
	var all []control.State
	for i, a := range apps {
		all = append(all, states[i][1+len(a.app.Sockets()):]...)
	}
	var cpu map[string]float64
	wait := false
	if m != nil {
		fresh := m.begun || len(m.before) == 0
		if !m.covers(all) {
			cpu = m.mark(all)
		}
		m.begun, wait = false, fresh && len(m.before) > 0
	}
	// Without the sockets the rest is worth showing too.
	sockets, _ := inspect.Look()
	out := make([]facts, 0, len(apps))
	for i, a := range apps {
		out = append(out, e.factsOf(a.app, states[i], sockets))
	}
	if wait {
		// A timer, since the use of CPU time has no event.
		t := time.NewTimer(max(cpuInterval-e.now().Sub(m.at), 0))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		cpu = m.mark(all)
	}
	for i, a := range apps {
		for k, st := range states[i][1+len(a.app.Sockets()):] {
			if p, ok := cpu[st.ControlGroup]; ok {
				out[i].instances[k].CPU = &p
			}
		}
	}
	return out, nil
}

// factsOf looks at one app; the CPU use is added later.
func (e *env) factsOf(a units.App, states []control.State, sockets *inspect.Sockets) facts {
	f := facts{listeners: make([]*queueStatus, len(a.Listen)), unreachable: e.unreachable(a, states, sockets)}
	accepted := map[uint64]bool{}
	for k, l := range a.Listen {
		at, ok := addressOf(l)
		if !ok || sockets == nil {
			continue
		}
		if q, ok := sockets.Queue(at); ok {
			f.listeners[k] = &queueStatus{q.Depth, q.Limit}
			if f.queue == nil {
				f.queue = &queueStatus{}
			}
			f.queue.Depth, f.queue.Limit = f.queue.Depth+q.Depth, f.queue.Limit+q.Limit
		}
		for _, ino := range sockets.Connections(at) {
			accepted[ino] = true
		}
		n := len(accepted)
		f.connections = &n
	}
	for i, st := range states[1+len(a.Sockets()):] {
		one := instanceFacts{}
		if runs, ok := e.host.RunsOf(string(a.Name), i+1); ok {
			one.runs = &runs
		}
		if pids := e.host.Pids(st.ControlGroup); len(pids) > 0 {
			if mem, ok := e.host.Memory(st.ControlGroup, pids); ok {
				one.Memory, one.Source = &mem.Bytes, mem.Source
			}
			if held, ok := e.host.SocketsOf(pids); ok && sockets != nil {
				f.addOwn(a, sockets.ListenersAmong(held))
				one.connections = f.connectionsAmong(held, accepted)
			}
		}
		f.instances = append(f.instances, one)
	}
	return f
}

// addOwn adds addresses on which an instance listens, without the shared ones.
func (f *facts) addOwn(a units.App, list []inspect.Address) {
	for _, at := range list {
		shared := slices.ContainsFunc(a.Listen, func(l units.Listener) bool {
			of, _ := addressOf(l)
			return at.Port == of.Port && (at.Host == of.Host || !at.Host.IsValid() && of.Host.IsUnspecified())
		})
		l := units.Listener{Host: at.Host, Port: at.Port}
		if !shared && !slices.Contains(f.ownListen, l.String()) {
			f.ownListen = append(f.ownListen, l.String())
		}
	}
}

// connectionsAmong counts the accepted connections among the sockets that an instance holds.
func (f *facts) connectionsAmong(held, accepted map[uint64]bool) *int {
	if f.connections == nil {
		return nil
	}
	n := 0
	for ino := range held {
		if accepted[ino] {
			n++
		}
	}
	return &n
}

// addressOf is where the kernel knows a listener. Datagrams have no accept queue and no connections.
func addressOf(l units.Listener) (inspect.Address, bool) {
	return inspect.Address{Host: l.Host, Port: l.Port, Path: l.Path}, l.Network != units.UDP
}
