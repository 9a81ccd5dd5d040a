package manage

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

// stepKind is one kind of step of an update.
type stepKind int

const (
	// stepWrite puts the new files in place.
	stepWrite stepKind = iota
	// stepReload has systemd read them.
	stepReload
	// stepOpen starts sockets beside those that are there.
	stepOpen
	// stepGrow starts instances beside those that run.
	stepGrow
	// stepRoll replaces instances, one after the other.
	stepRoll
	// stepShrink stops instances that are not listed any more.
	stepShrink
	// stepClose stops sockets that no instance uses any more.
	stepClose
	// stepStopAll stops the app, its sockets included, and stepStartAll starts it.
	stepStopAll
	stepStartAll
	// stepJournal has the app's own journald read its limits, stepEndJournal ends one that the app does not use any more.
	stepJournal
	stepEndJournal
	// stepAccess gives the files of Unix sockets that stay open another owner or mode.
	stepAccess
)

// step is one of them, with what it acts on.
type step struct {
	kind      stepKind
	sockets   []string
	instances []int
}

// change is all that the steps depend on.
type change struct {
	// files are those of the plan.
	files []install.Change
	// from and to are how many instances are listed, before and after.
	from, to int
	// running reports whether the app runs, start whether it is to run in any case.
	running, start bool
}

// steps returns the steps of an update in their order, so that nothing is touched that has not changed, and no connection is
// refused where that can be avoided. cold is why the port has to be closed, or "".
//
// New units start before old ones stop: new sockets before the first instance that needs them, new instances before the first
// that is replaced. Sockets that are removed close after the last instance that used them. An update ends at the first step
// that fails.
func (c change) steps() (all []step, cold string) {
	all, cold = c.unitSteps()
	if slices.ContainsFunc(c.files, func(f install.Change) bool { return f.Is(units.KindJournal, install.Update) }) {
		all = slices.Insert(all, 1, step{kind: stepJournal})
	}
	if c.endsJournal() {
		all = append(all, step{kind: stepEndJournal})
	}
	if c.running && cold == "" && slices.ContainsFunc(c.files, changesAccess) {
		// The last step: after it nothing can fail, so nothing has to change the files back.
		all = append(all, step{kind: stepAccess})
	}
	return all, cold
}

// unitSteps are the steps of units and instances; the first one, if there is any, is not about the journal.
func (c change) unitSteps() (all []step, cold string) {
	plan := install.Plan{Changes: c.files}
	if !plan.Changed() {
		if c.start && !c.running {
			return []step{{kind: stepStartAll, instances: instances(0, c.to)}}, ""
		}
		return nil, ""
	}
	all = []step{{kind: stepWrite}}
	reload := plan.NeedsReload()
	cold = c.cold()
	switch {
	case !c.running:
		if reload {
			all = append(all, step{kind: stepReload})
		}
		if c.start {
			all = append(all, step{kind: stepStartAll, instances: instances(0, c.to)})
		}
		return all, ""
	case cold != "":
		// Stopped by what systemd has in its memory, before it reads that the addresses are others: of a socket whose
		// addresses have changed it drops the descriptor, and still calls it active.
		return append(all, step{kind: stepStopAll}, step{kind: stepReload}, step{kind: stepStartAll, instances: instances(0, c.to)}), cold
	case reload:
		all = append(all, step{kind: stepReload})
	}
	if opened := c.sockets(install.Create); len(opened) > 0 {
		all = append(all, step{kind: stepOpen, sockets: opened})
	}
	if c.to > c.from {
		all = append(all, step{kind: stepGrow, instances: instances(c.from, c.to)})
	}
	if c.workers() {
		all = append(all, step{kind: stepRoll, instances: instances(0, min(c.from, c.to))})
	}
	if c.from > c.to {
		all = append(all, step{kind: stepShrink, instances: instances(c.to, c.from)})
	}
	if closed := c.sockets(install.Remove); len(closed) > 0 {
		all = append(all, step{kind: stepClose, sockets: closed})
	}
	return all, ""
}

// endsJournal reports whether the app gives up its own journal.
func (c change) endsJournal() bool {
	f := install.FileOf(c.files, units.KindTemplate)
	return f.Op == install.Update && units.ReadInstance(f.Old).LogNamespace != "" && units.ReadInstance(f.New).LogNamespace == ""
}

// workers reports whether something that a worker is or sees has changed: its unit, a secret, a variable, or the name of a
// listener.
func (c change) workers() bool {
	return slices.ContainsFunc(c.files, func(f install.Change) bool {
		if f.Op == install.Keep {
			return false
		}
		switch f.Kind() {
		case units.KindSocket:
			return f.Op == install.Update && units.ReadSocket(f.Old).FDName != units.ReadSocket(f.New).FDName
		case units.KindValues:
			before, _ := units.ParseValues(f.Old)
			after, _ := units.ParseValues(f.New)
			return !slices.Equal(before, after)
		case units.KindTemplate, units.KindSecrets:
			return true
		}
		return false
	})
}

// changesAccess reports whether a socket unit stays and its files get another owner or mode.
func changesAccess(f install.Change) bool {
	before, after := units.ReadSocket(f.Old), units.ReadSocket(f.New)
	return f.Is(units.KindSocket, install.Update) && (before.Access != after.Access || before.Own != after.Own)
}

// sockets returns the socket units with that operation.
func (c change) sockets(op install.Op) []string {
	var names []string
	for _, f := range c.files {
		if f.Is(units.KindSocket, op) {
			names = append(names, filepath.Base(f.Path))
		}
	}
	return names
}

// cold returns why the app has to be stopped to change its sockets, or "". Two changes need that: a socket unit gets other
// addresses, or a unit binds an address of another unit, which is in use as long as a worker holds it.
func (c change) cold() string {
	var freed []units.Listener
	for _, f := range c.files {
		if !f.Is(units.KindSocket, install.Update, install.Remove) {
			continue
		}
		before, after := units.ReadSocket(f.Old), units.ReadSocket(f.New)
		if f.Op == install.Remove {
			freed = append(freed, before.Listeners...)
		} else if !before.SameAddresses(after) {
			return fmt.Sprintf("%s changes its address from %s to %s", filepath.Base(f.Path), before.Addresses(), after.Addresses())
		}
	}
	for _, f := range c.files {
		if !f.Is(units.KindSocket, install.Create) {
			continue
		}
		for _, l := range units.ReadSocket(f.New).Listeners {
			if slices.ContainsFunc(freed, l.SharesPort) {
				return fmt.Sprintf("%s goes to another socket unit, %s", l, filepath.Base(f.Path))
			}
		}
	}
	return ""
}
