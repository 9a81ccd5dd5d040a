package main

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

// probeTimes bound a probe. idle is how long a program that listens on nothing may do nothing; 0 is as long as the limit.
type probeTimes struct{ limit, idle time.Duration }

func (o installOptions) probeTimes() probeTimes {
	if o.wholeProbe {
		return probeTimes{limit: o.probeTimeout}
	}
	return probeTimes{o.probeTimeout, contract.ProbeIdle}
}

// took is how long the program ran, as far as the probe has watched it.
func (r probeReport) took() string { return text.Duration(time.Duration(r.TookMS) * time.Millisecond) }

// died reports whether the program ended by itself, and not with success.
func (r probeReport) died() bool {
	return r.Exited && r.Status != (contract.Exit{Code: "exited", Status: "0"})
}

// failed is the error of a program that ended before it bound anything, and not with success, or that has gone into the
// background: systemd takes the end of the program for the end of the instance, and kills what it has left.
func (r probeReport) failed(a units.App, unit string) error {
	switch {
	case r.Exited && !r.died() && len(r.Left) > 0:
		reason := "it went into the background: it exited 0, and left " + leftWords(r.Left) + " running"
		return fault.WithHint(&control.InstanceError{Unit: unit, Reason: reason}, "%s", foreground.Hint(a.Command, r.Left))
	case r.died() && len(r.Binds) == 0:
		return &control.InstanceError{Unit: unit, Reason: fmt.Sprintf("the program ended in the probe, before it listened: %s %s", r.Status.Code, r.Status.Status)}
	}
	return nil
}

// leftWords names processes, each name once.
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

// silence says why the probe has ended without a listener.
func (r probeReport) silence() string {
	switch {
	case r.Exited:
		return fmt.Sprintf("it ended after %s without listening (%s %s)", r.took(), r.Status.Code, r.Status.Status)
	case r.Idle:
		return fmt.Sprintf("it did not listen within %s, and is idle", r.took())
	}
	return "it did not listen within " + r.took()
}

// noteBackground says that a program becomes a background app, and why.
func (e *env) noteBackground(r probeReport) {
	e.note("probe: it listens on %s, so it becomes a background app", cmp.Or(strings.Join(r.ownSockets(), " and "), "nothing"))
	switch {
	case r.Exited:
		e.note("probe: %s", r.silence())
	case r.Idle:
		e.note("probe: %s; if it listens later: --listen PORT, or --probe-timeout 2m to wait for it", r.silence())
	case r.TimedOut:
		longer := 5 * time.Duration(r.TookMS) * time.Millisecond
		e.note("probe: %s, and was not done; if it is only slow to listen: --listen PORT, or --probe-timeout %s", r.silence(), longer.Round(time.Second))
	}
}
