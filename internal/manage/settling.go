package manage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/foreground"
	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

const sampleInterval = 500 * time.Millisecond

// ProbeFindings has the findings of the probe of a program. The field Bound is set if the program bound an address. The
// field Failed is set if the program exited with an error.
type ProbeFindings struct{ Bound, Failed bool }

// settlingRule returns how long the instances of a new app must stay up. If the user gave --settle, this is its value. If the
// app is unproven (see isUnproven), the time is --min-uptime, but at most the default of --min-uptime. In all other cases,
// the instances must stay up for as long as they took to start, and until they use little CPU. The limit is the same as for
// an unproven app.
func (in *installation) settlingRule() control.Settling {
	if !in.o.Watch {
		return control.Settling{Time: in.o.Settle}
	}
	limit := min(contract.MinUptime, cmp.Or(in.App.Shim.MinUptime, contract.MinUptime))
	if in.isUnproven() {
		in.Note("watching the app for %s, because nothing else shows that it works; to change the time: --settle TIME",
			text.Duration(limit))
		return control.Settling{Time: limit}
	}
	w := &settleWatch{host: in.Host, now: in.Now, slice: in.Name.Slice(), began: in.Now(), least: in.o.Settle, limit: limit}
	return control.Settling{Time: sampleInterval, Longer: w.remainingWatch}
}

// isUnproven reports whether the program failed in the probe, or whether neither the probe nor a readiness check shows that
// the program works.
func (in *installation) isUnproven() bool {
	switch seen := in.o.Seen; {
	case seen != nil && seen.Failed:
		return true
	case len(in.App.Listen) > 0 || in.App.Ready == units.ReadyNotify:
		return false
	default:
		// If the program bound nothing in the probe, the probe was like a run of an instance, and proves that the program
		// works. If the program bound an address, the decoy socket may have hidden an error.
		return seen == nil || seen.Bound
	}
}

type settleWatch struct {
	host         inspect.Host
	now          func() time.Time
	slice        string
	began        time.Time // when the instances were started
	up           time.Time // when all instances were up
	least, limit time.Duration
	used         time.Duration // CPU time at the last sample
}

// remainingWatch measures the CPU use, and returns for how much longer the instances must stay up.
func (w *settleWatch) remainingWatch(states []control.State) time.Duration {
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
		return fault.WithHint(err, "another instance has bound %s; to share this address: --listen %[1]s; to run only one instance: -i 1",
			strings.Join(own, " "))
	}
	if st := instance.State; st.ExecMainCode == cldExited && st.ExecMainStatus == 0 && in.App.Restart == units.RestartAlways {
		hint := foreground.Hint(in.App.Command, nil)
		return fault.WithHint(err, "if the program goes into the background: %s; if its work is done: --restart on-failure", hint)
	}
	return err
}

// cldExited is CLD_EXITED of waitid(2), which means that the process has called exit.
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

// maxWatch is the longest time for which an instance is watched because its previous runs were short.
const maxWatch = 30 * time.Second

// checkUnchanged sets the state of the app in the outcome, if the command has changed no instance. checkUnchanged returns an
// error if the app has a problem, or if an instance fails while checkUnchanged watches it.
func (in *installation) checkUnchanged(ctx context.Context) error {
	now, facts, err := in.status(ctx, in.App, in.Target.Sizing.Listed)
	if err != nil {
		return err
	}
	if err = stateError(now, in.App, in.o.Start); err != nil {
		lines, _ := in.Tail(ctx, failedUnit(now), in.App.LogNamespace(), LogLines, time.Time{})
		err = &fault.NotReached{Err: err, Log: lines}
	} else if list, wait := instancesToWatch(now, in.App, facts, in.o.Settle, in.Now()); len(list) > 0 {
		p := in.Progress(in.Name, len(list))
		err = in.Conn.StartInstances(ctx, in.Name, list, wait, 0, p.Observe)
		p.End()
		err = in.Explain(context.WithoutCancel(ctx), err, in.App.LogNamespace(), time.Time{})
		var statusErr error
		if now, _, statusErr = in.status(context.WithoutCancel(ctx), in.App, in.Target.Sizing.Listed); statusErr != nil {
			return errors.Join(err, statusErr)
		}
	}
	in.out.RunState = &RunState{State: now.State, Ready: now.Ready, Wanted: now.Wanted, NewerFiles: in.newerFiles(now)}
	if !hasType[*fault.NotReached](err) || fault.Hint(err) != "" {
		return err
	}
	return fault.WithHint(err, "clusterctl logs %s; when the program is repaired: sudo clusterctl reload %[1]s", in.Name)
}

// failedUnit returns the unit of the first instance with a problem, or the service of the app.
func failedUnit(s status.App) string {
	for _, i := range s.Instances {
		if i.Problem != "" {
			return i.Unit
		}
	}
	return s.Name.Service()
}

// stateError returns an error if the app has a problem, or if an instance is stopped. If the parameter starts is set, a
// stopped instance is not an error, because the command will start it.
func stateError(s status.App, a units.App, starts bool) error {
	if s.Problem != "" {
		return fmt.Errorf("%s: %d/%d ready: %s", s.Name, s.Ready, s.Wanted, s.Problem)
	}
	for _, i := range s.Instances {
		if i.State == "stopped" && a.Restart == units.RestartAlways && !starts {
			err := fmt.Errorf("%s: %d/%d ready: %s is stopped", s.Name, s.Ready, s.Wanted, i.Unit)
			return fault.WithHint(err, "sudo clusterctl start %s", s.Name)
		}
	}
	return nil
}

// instancesToWatch returns the instances that may fail soon, and how long to watch all of them. A starting instance is
// watched for the settle time. An instance whose previous runs were short is watched until its current run is longer than
// --min-uptime.
func instancesToWatch(s status.App, a units.App, f status.Facts, settle time.Duration, now time.Time) (list []int, wait time.Duration) {
	for k, i := range s.Instances {
		switch {
		case i.State == "skipped" || i.State == "stopped" && a.Restart != units.RestartAlways:
		case i.State != "running":
			list, wait = append(list, i.Instance), max(wait, settle)
		case k < len(f.Instances) && f.Instances[k].Runs != nil && f.Instances[k].Runs.Failures > 0 && i.Since != nil:
			if remaining := cmp.Or(a.Shim.MinUptime, contract.MinUptime) - now.Sub(*i.Since); remaining > 0 {
				list, wait = append(list, i.Instance), max(wait, min(remaining, maxWatch))
			}
		}
	}
	return list, wait
}

// newerFiles returns the environment files, the secrets, and the program and files in the command that have changed since
// the first instance started. Instances read these files only at their start.
func (in *installation) newerFiles(s status.App) []string {
	if s.Since == nil {
		return nil
	}
	var paths, newer []string
	for _, f := range in.App.EnvFiles {
		paths = append(paths, f.Path)
	}
	for _, secret := range in.Target.Secrets {
		paths = append(paths, secret.Path)
	}
	for _, word := range in.App.Command {
		if !strings.HasPrefix(word, "-") && strings.ContainsAny(word, "/.") {
			path := word
			if !filepath.IsAbs(path) {
				path = filepath.Join("/", in.App.Directory, path)
			}
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		var st unix.Stat_t
		if slices.Contains(newer, path) || unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		// A copy can keep the old modification time. The change time of the inode is always the time of the copy.
		if time.Unix(st.Ctim.Unix()).After(*s.Since) {
			newer = append(newer, path)
		}
	}
	return newer
}
