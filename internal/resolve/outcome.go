package resolve

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/foreground"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// runTime returns for how long the program ran in the probe.
func runTime(found contract.Report) string {
	return text.Duration(time.Duration(found.TookMS) * time.Millisecond)
}

// Failed reports whether the program ended in the probe with an exit status other than 0 or by a signal.
func Failed(found contract.Report) bool {
	return found.Exited && found.Status != (contract.Exit{Code: "exited", Status: "0"})
}

// ProgramError returns an error if the program failed before it bound an address, or if the program exited while its child
// processes continue in the background: systemd would kill these processes. Otherwise it returns nil.
func ProgramError(found contract.Report, a units.App, unit string) error {
	switch {
	case found.Exited && !Failed(found) && len(found.Left) > 0:
		reason := "it went into the background: it exited 0, and left " + leftWords(found.Left) + " running"
		return fault.WithHint(&control.InstanceError{Unit: unit, Reason: reason}, "%s", foreground.Hint(a.Command, found.Left))
	case Failed(found) && len(found.Binds) == 0:
		reason := fmt.Sprintf("the program ended in the probe, before it listened: %s %s", found.Status.Code, found.Status.Status)
		return &control.InstanceError{Unit: unit, Reason: reason}
	}
	return nil
}

// leftWords returns a text with the names of processes. It omits repeated names, and has at most 3 entries.
func leftWords(names []string) string {
	var words []string
	for _, n := range names {
		if len(words) == 0 || words[len(words)-1] != n {
			words = append(words, n)
		}
	}
	if len(words) > 3 {
		words = append(words[:2], fmt.Sprintf("%d more", len(words)-2))
	}
	return strings.Join(words, ", ")
}

// noListenerReason returns a text why the probe ended without a listener.
func noListenerReason(found contract.Report) string {
	switch {
	case found.Exited:
		return fmt.Sprintf("it ended after %s without listening (%s %s)", runTime(found), found.Status.Code, found.Status.Status)
	case found.Idle:
		return fmt.Sprintf("it did not listen within %s, and is idle", runTime(found))
	}
	return "it did not listen within " + runTime(found)
}

// noteBackground prints that the app becomes a background app, because the probe found no listener to share, and how the
// probe ended.
func (r *Resolver) noteBackground(found contract.Report) {
	r.Note("probe: the program listens on %s, so it becomes a background app", cmp.Or(strings.Join(ownSockets(found), " and "), "nothing"))
	switch {
	case found.Exited:
		r.Note("probe: %s", noListenerReason(found))
	case found.Idle:
		r.Note("probe: %s; if it listens later: --listen PORT, or --probe-timeout 2m to wait for it", noListenerReason(found))
	case found.TimedOut:
		longer := 5 * time.Duration(found.TookMS) * time.Millisecond
		r.Note("probe: %s, and was still busy; if it is slow to listen: --listen PORT, or --probe-timeout %s",
			noListenerReason(found), longer.Round(time.Second))
	}
}
