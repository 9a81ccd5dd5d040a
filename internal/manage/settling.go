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

// Seen has the findings of a probe: Bound is set if the program bound an address, and Died if it failed.
type Seen struct{ Bound, Died bool }

// settling returns how long the instances of a new app must stay up. This is --settle if it was given. Otherwise:
//   - If nothing shows that the program works, or if it failed in the probe, they must stay up for --min-uptime.
//   - Otherwise they must stay up for as long as they took to start, and until they use little CPU, but at most for
//     --min-uptime. A program that fails late, for example because it cannot write its cache, uses CPU until then.
//
// A --min-uptime above its default counts as the default.
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

// isUnproven reports whether nothing has shown yet that the program works.
func (in *installation) isUnproven() bool {
	switch seen := in.o.Seen; {
	case seen != nil && seen.Died:
		return true
	case len(in.App.Listen) > 0 || in.App.Ready == units.ReadyNotify:
		return false
	default:
		// A probe in which the program bound nothing was a normal run. In any other probe the program got a decoy address.
		return seen == nil || seen.Bound
	}
}

// settleWatch watches new instances while they settle.
type settleWatch struct {
	host         inspect.Host
	now          func() time.Time
	slice        string
	began        time.Time // the instances were started
	up           time.Time // all instances were up
	least, limit time.Duration
	used         time.Duration // CPU time at the last sample
}

// longer takes a sample, and returns how much longer the instances must stay up.
func (w *settleWatch) longer(states []control.State) time.Duration {
	now := w.now()
	var used time.Duration
	busy := false
	for _, st := range states {
		// A state that was updated by signals has no cgroup. Our units put the instance into this one.
		group := cmp.Or(st.ControlGroup, "/clusterctl.slice/"+w.slice+"/"+st.Unit)
		cpu, _ := w.host.CPU(group)
		used += cpu
		busy = busy || w.host.Working(w.host.Pids(group))
	}
	busy = busy || used-w.used > sampleInterval/5
	if w.up.IsZero() {
		// The CPU use is the difference to an earlier sample, and this is the first.
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

// withCause adds a hint about the cause to the error of a new app.
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

// OwnListeners returns the addresses that the instances of an app have opened themselves, in the format of --listen.
func (m *Manager) OwnListeners(ctx context.Context, a units.App, listed int) []string {
	_, facts, _ := m.status(context.WithoutCancel(ctx), a, listed)
	return facts.OwnListen
}

// status returns the state of an app.
func (m *Manager) status(ctx context.Context, a units.App, listed int) (status.App, status.Facts, error) {
	states, err := m.Conn.States(ctx, status.Units(a, listed))
	if err != nil {
		return status.App{}, status.Facts{}, err
	}
	sockets, _ := m.Sockets() // after an error only the facts about sockets are missing
	facts := status.FactsOf(m.Host, a, states, sockets)
	return status.Summarise(a, states, facts), facts, nil
}
