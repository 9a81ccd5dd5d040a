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
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
)

// maxWatch is the longest time for which an instance is watched because its previous runs were short.
const maxWatch = 30 * time.Second

// checkUnchanged sets the state of the app in the outcome, if the command has changed no instance. It returns an error if
// the app has a problem, or if an instance fails while checkUnchanged watches it.
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

// failedUnit returns the unit of the first instance with a problem, or the aggregate of the app.
func failedUnit(s status.App) string {
	for _, i := range s.Instances {
		if i.Problem != "" {
			return i.Unit
		}
	}
	return s.Name.Service()
}

// stateError returns an error if the app has a problem, or if an instance is stopped. If starts is set, a stopped instance
// is not an error, because the command will start it.
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

// newerFiles returns the files that instances read only at their start, and that have changed since the first instance
// started: environment files, secrets, and the program and files in the command.
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
