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

// lookInterval is how often the CPU use of new instances is looked at while they settle.
const lookInterval = 500 * time.Millisecond

// Seen is what a probe has shown of a program: Bound that it bound something, Died that it ended without success.
type Seen struct{ Bound, Died bool }

// settling returns how long the instances of a new app have to stay up. What --settle says counts. Without it, the time
// follows from what is known of the program:
//   - If nothing shows that the program works, or if it ended in the probe, they have to stay up for --min-uptime.
//   - Otherwise they have to stay up as long as they took to start, and until they use little CPU, at most for --min-uptime.
//     A program that fails late, such as one that cannot write its cache, fails while it works.
//
// --min-uptime counts up to its default.
func (in *installation) settling() control.Settling {
	if !in.o.Watch {
		return control.Settling{Time: in.o.Settle}
	}
	limit := contract.MinUptime
	if in.App.Shim.MinUptime > 0 {
		limit = min(limit, in.App.Shim.MinUptime)
	}
	if in.isBlind() {
		in.Note("watching it for %s, since nothing else shows that it works; --settle TIME changes that", text.Duration(limit))
		return control.Settling{Time: limit}
	}
	w := &settleWatch{host: in.Host, now: in.Now, slice: in.Name.Slice(), began: in.Now(), least: in.o.Settle, limit: limit}
	return control.Settling{Time: lookInterval, Longer: w.longer}
}

// isBlind reports whether nothing has shown yet that the program works.
func (in *installation) isBlind() bool {
	switch seen := in.o.Seen; {
	case seen != nil && seen.Died:
		return true
	case len(in.App.Listen) > 0 || in.App.Ready == units.ReadyNotify:
		return false
	default:
		// A probe in which nothing was bound was a run like any other. A program for which something was bound got a decoy.
		return seen == nil || seen.Bound
	}
}

// settleWatch watches new instances while they settle.
type settleWatch struct {
	host         inspect.Host
	now          func() time.Time
	slice        string
	began        time.Time // of the start
	up           time.Time // when all were up
	least, limit time.Duration
	used         time.Duration
}

// longer returns how much longer the instances have to stay up.
func (w *settleWatch) longer(states []control.State) time.Duration {
	at := w.now()
	var used time.Duration
	busy := false
	for _, st := range states {
		// A state that followed from signals has no cgroup. This is where our units put the instance.
		group := cmp.Or(st.ControlGroup, "/clusterctl.slice/"+w.slice+"/"+st.Unit)
		one, _ := w.host.CPU(group)
		used += one
		busy = busy || w.host.Working(w.host.Pids(group))
	}
	busy = busy || used-w.used > lookInterval/5
	if w.up.IsZero() {
		// The first look, from which on the CPU use can be told.
		busy, w.up = true, at.Add(-lookInterval)
		w.least = max(w.least, w.up.Sub(w.began))
	}
	w.used = used
	watched := at.Sub(w.up)
	switch {
	case watched >= w.limit:
		return 0
	case busy || watched < w.least:
		return min(lookInterval, w.limit-watched)
	}
	return 0
}

// withCause adds to the failure of a new app what can be seen of its cause.
func (in *installation) withCause(ctx context.Context, err error) error {
	var instance *control.InstanceError
	if !errors.As(err, &instance) {
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

// cldExited is CLD_EXITED: the process has ended by itself.
const cldExited = 1

// OwnListeners returns the addresses on which instances of an app listen by themselves, as --listen takes them.
func (m *Manager) OwnListeners(ctx context.Context, a units.App, listed int) []string {
	states, err := m.Conn.States(context.WithoutCancel(ctx), status.Units(a, listed))
	if err != nil {
		return nil
	}
	sockets, err := m.Sockets()
	if err != nil {
		return nil
	}
	return status.FactsOf(m.Host, a, states, sockets).OwnListen
}
