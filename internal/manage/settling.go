package manage

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/foreground"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// sampleInterval is the interval at which the CPU use of new instances is measured.
const sampleInterval = 500 * time.Millisecond

// ProbeFindings has what the probe of a program found. Bound is set if the program bound an address. Failed is set if the
// program exited with an error.
type ProbeFindings struct{ Bound, Failed bool }

// settling returns how long the instances of a new app must stay up. If the user gave --settle, this is its value.
// Otherwise:
//   - If nothing shows that the program works, or if it failed in the probe, the instances must stay up for --min-uptime.
//   - In all other cases the instances must stay up for as long as they took to start, and until they use little CPU, but
//     at most for --min-uptime. CPU use is a sign that a program still starts, and may still fail.
//
// If --min-uptime is longer than its default, settling uses the default.
func (in *installation) settling() control.Settling {
	if !in.o.Watch {
		return control.Settling{Time: in.o.Settle}
	}
	limit := min(contract.MinUptime, cmp.Or(in.App.Shim.MinUptime, contract.MinUptime))
	if in.isUnproven() {
		in.Note("watching it for %s, because nothing else shows that it works; to change the time: --settle TIME", text.Duration(limit))
		return control.Settling{Time: limit}
	}
	w := &settleWatch{host: in.Host, now: in.Now, slice: in.Name.Slice(), began: in.Now(), least: in.o.Settle, limit: limit}
	return control.Settling{Time: sampleInterval, Longer: w.longer}
}

// isUnproven reports whether neither the probe nor a readiness check shows that the program works, or whether the program
// failed in the probe.
func (in *installation) isUnproven() bool {
	switch seen := in.o.Seen; {
	case seen != nil && seen.Failed:
		return true
	case len(in.App.Listen) > 0 || in.App.Ready == units.ReadyNotify:
		return false
	default:
		// If the program bound nothing in the probe, that run was like a run of an instance. If the program bound an
		// address, the decoy socket may have hidden an error.
		return seen == nil || seen.Bound
	}
}

// settleWatch decides how long new instances must stay up.
type settleWatch struct {
	host         inspect.Host
	now          func() time.Time
	slice        string
	began        time.Time // when the instances were started
	up           time.Time // when all instances were up
	least, limit time.Duration
	used         time.Duration // CPU time at the last sample
}

// longer measures the CPU use, and returns for how much longer the instances must stay up.
func (w *settleWatch) longer(states []control.State) time.Duration {
	now := w.now()
	var used time.Duration
	busy := false
	for _, st := range states {
		// A state that a D-Bus signal has updated has no cgroup. This path is the cgroup in which our units put the
		// instance.
		group := cmp.Or(st.ControlGroup, "/clusterctl.slice/"+w.slice+"/"+st.Unit)
		cpu, _ := w.host.CPU(group)
		used += cpu
		busy = busy || w.host.Working(w.host.Pids(group))
	}
	busy = busy || used-w.used > sampleInterval/5
	if w.up.IsZero() {
		// This is the first sample. The CPU use is the difference between two samples, so it is not known yet.
		busy, w.up = true, now.Add(-sampleInterval)
		w.least = max(w.least, w.up.Sub(w.began))
	}
	w.used = used
	watched := now.Sub(w.up)
	if watched < w.limit && (busy || watched < w.least) {
		return min(sampleInterval, w.limit-watched)
	}
	return 0
}

// withCause returns the error of a new app with a hint, if the cause is known.
func (in *installation) withCause(ctx context.Context, err error) error {
	instance, ok := errors.AsType[*control.InstanceError](err)
	if !ok {
		return err
	}
	if own := in.OwnListeners(ctx, in.App, in.Target.Sizing.Listed); len(own) > 0 && len(in.App.Listen) == 0 {
		return fault.WithHint(err, "another instance listens on %s for itself; to share it: --listen %[1]s, or run one: -i 1",
			strings.Join(own, " "))
	}
	if st := instance.State; st.ExecMainCode == cldExited && st.ExecMainStatus == 0 && in.App.Restart == units.RestartAlways {
		hint := foreground.Hint(in.App.Command, nil)
		return fault.WithHint(err, "if it goes into the background: %s; if its work is done: --restart on-failure", hint)
	}
	return err
}

// cldExited is CLD_EXITED of waitid(2): the process has called exit.
const cldExited = 1

// OwnListeners returns the addresses that the instances of an app have bound themselves, in the format of --listen.
func (m *Manager) OwnListeners(ctx context.Context, a units.App, listed int) []string {
	_, facts, _ := m.status(context.WithoutCancel(ctx), a, listed)
	return facts.OwnListen
}

// status returns the state of an app, and the facts from which it was computed.
func (m *Manager) status(ctx context.Context, a units.App, listed int) (status.App, status.Facts, error) {
	states, err := m.Conn.States(ctx, status.Units(a, listed))
	if err != nil {
		return status.App{}, status.Facts{}, err
	}
	sockets, _ := m.Sockets() // if this fails, only the facts about sockets are missing
	facts := status.FactsOf(m.Host, a, states, sockets)
	return status.Summarise(a, states, facts), facts, nil
}
