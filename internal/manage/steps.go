package manage

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/install"
)

type stepKind int

const (
	stepWrite        stepKind = iota // write the new files
	stepReload                       // reload systemd
	stepOpen                         // start new sockets
	stepStartNew                     // start new instances
	stepReplace                      // replace instances one after the other
	stepStopUnlisted                 // stop unlisted instances
	stepClose                        // stop unused sockets
	stepStopAll                      // stop the app with its sockets
	stepStartAll                     // start the app with its sockets
	stepJournal                      // restart the private journald of the app, which then reads its limits
	stepEndJournal                   // stop an unused private journald
	stepAccess                       // change the owner or mode of open Unix sockets
)

type step struct {
	kind      stepKind
	sockets   []string
	instances []int
}

// A change describes what an update changes. The steps depend only on these fields.
type change struct {
	files []install.Change
	// The fields from and to have the numbers of listed instances before and after the change.
	from, to int
	// The field running is set if the app runs. The field start is set if a stopped app must be started.
	running, start bool
}

// The method steps returns the steps of an update in order. Unchanged units have no step. If the app must be stopped for the
// update, connections are refused for a moment, and the result reason is a text with the cause. Otherwise the result reason
// is "".
//
// New sockets start before new instances, and new instances start before old instances are replaced or stopped. Removed
// sockets are closed last. If a step fails, the steps after it must not run.
func (c change) steps() (all []step, reason string) {
	all, reason = c.unitSteps()
	if slices.ContainsFunc(c.files, func(f install.Change) bool { return f.Is(units.KindJournal, install.Update) }) {
		all = slices.Insert(all, 1, step{kind: stepJournal}) // after stepWrite
	}
	if c.endsJournal() {
		all = append(all, step{kind: stepEndJournal})
	}
	if c.running && reason == "" && slices.ContainsFunc(c.files, changesAccess) {
		// This step must be the last one, because an undo does not restore the owner and mode.
		all = append(all, step{kind: stepAccess})
	}
	return all, reason
}

// unitSteps returns the steps that write files and start, stop or replace units. The result reason is the same as in
// [change.steps].
func (c change) unitSteps() (all []step, reason string) {
	plan := install.Plan{Changes: c.files}
	if !plan.Changed() {
		if c.start && !c.running {
			return []step{{kind: stepStartAll, instances: instances(0, c.to)}}, ""
		}
		return nil, ""
	}
	all = []step{{kind: stepWrite}}
	reload := plan.NeedsReload()
	reason = c.stopReason()
	switch {
	case !c.running:
		if reload {
			all = append(all, step{kind: stepReload})
		}
		if c.start {
			all = append(all, step{kind: stepStartAll, instances: instances(0, c.to)})
		}
		return all, ""
	case reason != "":
		// The stop must come before the reload. If the addresses of an active socket unit have changed, a reload closes the
		// socket, but the unit stays active.
		return append(all, step{kind: stepStopAll}, step{kind: stepReload}, step{kind: stepStartAll, instances: instances(0, c.to)}), reason
	case reload:
		all = append(all, step{kind: stepReload})
	}
	if opened := c.sockets(install.Create); len(opened) > 0 {
		all = append(all, step{kind: stepOpen, sockets: opened})
	}
	if c.to > c.from {
		all = append(all, step{kind: stepStartNew, instances: instances(c.from, c.to)})
	}
	if c.changesWorkers() {
		all = append(all, step{kind: stepReplace, instances: instances(0, min(c.from, c.to))})
	}
	if c.from > c.to {
		all = append(all, step{kind: stepStopUnlisted, instances: instances(c.to, c.from)})
	}
	if closed := c.sockets(install.Remove); len(closed) > 0 {
		all = append(all, step{kind: stepClose, sockets: closed})
	}
	return all, ""
}

// endsJournal reports whether the update removes the private journal of the app.
func (c change) endsJournal() bool {
	f := install.FileOf(c.files, units.KindTemplate)
	return f.Op == install.Update && units.ReadInstance(f.Old).LogNamespace != "" && units.ReadInstance(f.New).LogNamespace == ""
}

// changesWorkers reports whether workers must be replaced, because their template, a secret, a variable or the name of a
// listener has changed.
func (c change) changesWorkers() bool {
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

// changesAccess reports whether the change f updates a socket unit and changes the owner or mode of its socket files.
func changesAccess(f install.Change) bool {
	before, after := units.ReadSocket(f.Old), units.ReadSocket(f.New)
	return f.Is(units.KindSocket, install.Update) && (before.Access != after.Access || before.Own != after.Own)
}

// sockets returns the names of the socket units that the change creates, updates or removes. The parameter op selects one of
// these operations.
func (c change) sockets(op install.Op) []string {
	var names []string
	for _, f := range c.files {
		if f.Is(units.KindSocket, op) {
			names = append(names, filepath.Base(f.Path))
		}
	}
	return names
}

// stopReason returns why the app must be stopped to change its sockets, or "". A stop is necessary if a socket unit gets
// other addresses, or if a new socket unit has an address of a removed unit. Such an address is in use as long as a worker
// has the old socket.
func (c change) stopReason() string {
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
