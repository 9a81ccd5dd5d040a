package main

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
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// look is how often the CPU use of new instances is looked at while they settle.
const look = 500 * time.Millisecond

// settling is how long the instances of a new app have to stay alive. What --settle says counts. Without it, it follows
// from what is known of the program:
//   - If nothing shows that the program works, or if it ended in the probe, they have to stay alive for --min-uptime.
//   - Otherwise they have to stay alive as long as they took to start, and until they use little CPU, at most for
//     --min-uptime. A program that fails late, such as one that cannot write its cache, fails while it works.
//
// --min-uptime counts up to its default.
func (d *deploy) settling(o updateOptions) control.Settling {
	if !o.watch {
		return control.Settling{Time: o.settle}
	}
	limit := contract.MinUptime
	if d.app.Shim.MinUptime > 0 {
		limit = min(limit, d.app.Shim.MinUptime)
	}
	if d.blind(o.seen) {
		d.e.note("watching it for %s, since nothing else shows that it works; --settle TIME changes that", text.Duration(limit))
		return control.Settling{Time: limit}
	}
	w := &settleWatch{e: d.e, slice: d.app.Name.Slice(), began: d.e.now(), least: o.settle, limit: limit}
	return control.Settling{Time: look, Longer: w.longer}
}

// blind reports whether nothing has shown yet that the program works.
func (d *deploy) blind(seen *contract.Report) bool {
	switch {
	case seen != nil && resolve.Died(*seen):
		return true
	case len(d.app.Listen) > 0 || d.app.Ready == units.ReadyNotify:
		return false
	}
	// A probe in which nothing was bound was a run like any other. A program for which something was bound got a decoy.
	return seen == nil || len(seen.Binds) > 0
}

// settleWatch watches new instances while they settle.
type settleWatch struct {
	e            *env
	slice        string
	began        time.Time // of the start
	up           time.Time // when all were up
	least, limit time.Duration
	used         time.Duration
}

// longer returns how much longer the instances have to stay up.
func (w *settleWatch) longer(states []control.State) time.Duration {
	now := w.e.now()
	var used time.Duration
	busy := false
	for _, st := range states {
		// A state that followed from signals has no cgroup. This is where our units put the instance.
		group := cmp.Or(st.ControlGroup, "/clusterctl.slice/"+w.slice+"/"+st.Unit)
		one, _ := w.e.host.CPU(group)
		used += one
		busy = busy || w.e.host.Working(w.e.host.Pids(group))
	}
	busy = busy || used-w.used > look/5
	if w.up.IsZero() {
		// The first look, from which on the CPU use can be told.
		busy, w.up = true, now.Add(-look)
		w.least = max(w.least, w.up.Sub(w.began))
	}
	w.used = used
	watched := now.Sub(w.up)
	switch {
	case watched >= w.limit:
		return 0
	case busy || watched < w.least:
		return min(look, w.limit-watched)
	}
	return 0
}

// withCause adds to the failure of a new app what can be seen of its cause.
func (d *deploy) withCause(ctx context.Context, err error) error {
	var instance *control.InstanceError
	if !errors.As(err, &instance) {
		return err
	}
	if own := d.ownListeners(ctx); len(own) > 0 && len(d.app.Listen) == 0 {
		return fault.WithHint(err, "another instance listens on %s for itself; to share it: --listen %[1]s, or run one: -i 1", strings.Join(own, " "))
	}
	if st := instance.State; st.ExecMainCode == cldExited && st.ExecMainStatus == 0 && d.app.Restart == units.RestartAlways {
		return fault.WithHint(err, "if it goes into the background: %s; if its work is done: --restart on-failure", foreground.Hint(d.app.Command, nil))
	}
	return err
}

// cldExited is CLD_EXITED: the process has ended by itself.
const cldExited = 1

// ownListeners returns the addresses on which instances of the app listen by themselves, as --listen takes them.
func (d *deploy) ownListeners(ctx context.Context) []string {
	states, err := d.conn.States(context.WithoutCancel(ctx), status.Units(d.app, d.target.Sizing.Listed))
	if err != nil {
		return nil
	}
	sockets, err := inspect.Look()
	if err != nil {
		return nil
	}
	return status.FactsOf(d.e.host, d.app, states, sockets).OwnListen
}

// noteOwnListeners says which addresses a background app listens on, and how instances share them.
func (e *env) noteOwnListeners(name units.Name, own []string) {
	if len(own) > 0 {
		e.note("%s listens on %s, each instance for itself; to share it, install it again with --listen %s", name, strings.Join(own, " "), own[0])
	}
}
