package status

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// cpuInterval is the shortest time over which the CPU use is measured.
const cpuInterval = 200 * time.Millisecond

// meter measures the CPU use of cgroups. A mark is the CPU time of a cgroup at one time, and the CPU use is the difference
// of two marks.
type meter struct {
	host   inspect.Host
	now    func() time.Time
	before map[string]cpuMark // the last marks, by cgroup
	// The field lastTime has the time of the last call of the method mark or begin. The field lastResult has the last result
	// of the method mark, or is nil if this result was empty.
	lastTime   time.Time
	lastResult map[string]float64
	// The field begun is true from the call of the method begin to the end of the first measurement.
	begun bool
}

type cpuMark struct {
	used time.Duration
	at   time.Time
}

func newMeter(host inspect.Host, now func() time.Time) *meter {
	return &meter{host: host, now: now, before: map[string]cpuMark{}}
}

// The method begin sets the first marks of the instances, before the states of their units are known. It uses the cgroups in
// which our units put the instances. This saves time, because the caller can read the states during the measurement.
func (m *meter) begin(apps []Listed) {
	for _, a := range apps {
		for i := range a.Count {
			path := "/clusterctl.slice/" + a.App.Name.Slice() + "/" + a.App.Name.Instance(i+1)
			if used, ok := m.host.CPU(path); ok {
				m.before[path] = cpuMark{used, m.now()}
			}
		}
	}
	m.lastTime, m.begun = m.now(), true
}

// hasSameUnits reports whether the method begin has set marks for the cgroups of all running units. Units are in other
// cgroups if a user has changed their Slice=.
func (m *meter) hasSameUnits(states []control.State) bool {
	for _, st := range states {
		if _, ok := m.before[st.ControlGroup]; !ok && st.ControlGroup != "" {
			return false
		}
	}
	return m.begun
}

// The method mark sets new marks for the cgroups of running units. It returns the CPU use of each cgroup since its last
// mark, in percent of one CPU. The result omits cgroups that were created after the last mark, even if an old cgroup had the
// same name.
func (m *meter) mark(states []control.State) map[string]float64 {
	if m.lastResult != nil && m.now().Sub(m.lastTime) < cpuInterval {
		return m.lastResult // the time since the last mark is too short for a measurement
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
			cpu[st.ControlGroup] = math.Round(100*share) / 100 // two decimals are exact enough
		}
	}
	m.before, m.lastTime, m.lastResult = marks, m.now(), cpu
	if len(cpu) == 0 {
		m.lastResult = nil
	}
	return cpu
}

// The method measure returns the facts about each app, with the CPU use if c.meter is not nil. The parameter states has the
// states of the units of each app, in the order of [Units]. For the first measurement of the CPU use, the method waits until
// cpuInterval has passed since the first marks.
func (c *Collector) measure(ctx context.Context, apps []Listed, states [][]control.State) ([]Facts, error) {
	m := c.meter
	var all []control.State
	for i, a := range apps {
		all = append(all, states[i][1+len(a.App.Sockets()):]...)
	}
	var cpu map[string]float64
	wait := false
	if m != nil {
		fresh := m.begun || len(m.before) == 0
		if !m.hasSameUnits(all) {
			cpu = m.mark(all)
		}
		m.begun, wait = false, fresh && len(m.before) > 0
	}
	sockets, _ := inspect.Look() // if this fails, only the facts about sockets are missing
	out := make([]Facts, 0, len(apps))
	for i, a := range apps {
		out = append(out, FactsOf(c.Host, a.App, states[i], sockets))
	}
	if wait {
		// The kernel has no event for the use of CPU time, so the method waits for a fixed time.
		t := time.NewTimer(max(cpuInterval-c.Now().Sub(m.lastTime), 0))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		cpu = m.mark(all)
	}
	for i, a := range apps {
		for k, st := range states[i][1+len(a.App.Sockets()):] {
			if p, ok := cpu[st.ControlGroup]; ok {
				out[i].Instances[k].CPU = &p
			}
		}
	}
	return out, nil
}

// FactsOf returns the facts about an app, without the CPU use. The states must be in the order of [Units]. If sockets is
// nil, the facts about sockets are missing.
func FactsOf(h inspect.Host, a units.App, states []control.State, sockets *inspect.Sockets) Facts {
	f := Facts{Listeners: make([]*Queue, len(a.Listen)), Unreachable: FindUnreachable(h, a, states, sockets)}
	accepted := map[uint64]bool{}
	for k, l := range a.Listen {
		at, ok := AddressOf(l)
		if !ok || sockets == nil {
			continue
		}
		if q, ok := sockets.Queue(at); ok {
			f.Listeners[k] = &Queue{Depth: q.Depth, Limit: q.Limit}
			if f.Queue == nil {
				f.Queue = &Queue{}
			}
			f.Queue.Depth, f.Queue.Limit = f.Queue.Depth+q.Depth, f.Queue.Limit+q.Limit
		}
		for _, ino := range sockets.Connections(at) {
			accepted[ino] = true
		}
		f.Connections = new(len(accepted))
	}
	for i, st := range states[1+len(a.Sockets()):] {
		one := InstanceFacts{}
		if runs, ok := h.RunsOf(string(a.Name), i+1); ok {
			one.Runs = &runs
		}
		if pids := h.Pids(st.ControlGroup); len(pids) > 0 {
			if mem, ok := h.Memory(st.ControlGroup, pids); ok {
				one.Memory, one.Source = &mem.Bytes, mem.Source
			}
			if held, ok := h.SocketsOf(pids); ok && sockets != nil {
				f.addOwn(a, sockets.ListenersAmong(held))
				if f.Connections != nil {
					n := 0
					for ino := range held {
						if accepted[ino] {
							n++
						}
					}
					one.Connections = &n
				}
			}
		}
		f.Instances = append(f.Instances, one)
	}
	return f
}

// addOwn appends to f.OwnListen the addresses that an instance does not share. The parameter list has all addresses of the
// instance.
func (f *Facts) addOwn(a units.App, list []inspect.Address) {
	for _, at := range list {
		shared := slices.ContainsFunc(a.Listen, func(l units.Listener) bool {
			other, _ := AddressOf(l)
			return at.Port == other.Port && (at.Host == other.Host || !at.Host.IsValid() && other.Host.IsUnspecified())
		})
		l := units.Listener{Host: at.Host, Port: at.Port}
		if !shared && !slices.Contains(f.OwnListen, l.String()) {
			f.OwnListen = append(f.OwnListen, l.String())
		}
	}
}

// AddressOf returns the address of a listener as an [inspect.Address]. The second result is false for a UDP listener, which
// has no accept queue and no connections.
func AddressOf(l units.Listener) (inspect.Address, bool) {
	return inspect.Address{Host: l.Host, Port: l.Port, Path: l.Path}, l.Network != units.UDP
}
