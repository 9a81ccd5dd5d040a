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

// longestLook bounds how long an instance is watched after short runs.
const longestLook = 30 * time.Second

// checkUnchanged finds out how an app runs whose instances were left alone. It returns an error if the app does not run as it
// should.
func (in *installation) checkUnchanged(ctx context.Context) error {
	now, facts, err := in.status(ctx)
	if err != nil {
		return err
	}
	if err = wrong(now, in.App, in.o.Start); err != nil {
		lines, _ := in.Tail(ctx, troubled(now), in.App.LogNamespace(), LogLines, time.Time{})
		err = &fault.NotReached{Err: err, Log: lines}
	} else if list, wait := unsettled(now, in.App, facts, in.o.Settle, in.Now()); len(list) > 0 {
		p := in.Progress(in.Name, len(list))
		err = in.Conn.StartInstances(ctx, in.Name, list, wait, 0, p.Observe)
		p.End()
		err = in.Explain(context.WithoutCancel(ctx), err, in.App.LogNamespace(), time.Time{})
		var statusErr error
		if now, _, statusErr = in.status(context.WithoutCancel(ctx)); statusErr != nil {
			return errors.Join(err, statusErr)
		}
	}
	in.out.Standing = &Standing{State: now.State, Ready: now.Ready, Wanted: now.Wanted, NewerFiles: in.newerFiles(now)}
	var reached *fault.NotReached
	if !errors.As(err, &reached) || fault.Hint(err) != "" {
		return err
	}
	return fault.WithHint(err, "clusterctl logs %s; when the program is repaired: sudo clusterctl reload %[1]s", in.Name)
}

// status looks at the app.
func (in *installation) status(ctx context.Context) (status.App, status.Facts, error) {
	states, err := in.Conn.States(ctx, status.Units(in.App, in.Target.Sizing.Listed))
	if err != nil {
		return status.App{}, status.Facts{}, err
	}
	sockets, _ := in.Sockets() // without the sockets, everything else is still known
	facts := status.FactsOf(in.Host, in.App, states, sockets)
	return status.Summarise(in.App, states, facts), facts, nil
}

// troubled returns the unit of the first instance that does not run, or of the app.
func troubled(s status.App) string {
	for _, i := range s.Instances {
		if i.Problem != "" {
			return i.Unit
		}
	}
	return s.Name.Service()
}

// wrong returns an error if the app does not run as it should. starts is set if what is stopped is about to be started.
func wrong(s status.App, a units.App, starts bool) error {
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

// unsettled returns the instances to watch although nothing is wrong at this moment, and for how long: an instance that starts
// for the time to settle, and an instance after short runs until its present run is longer than --min-uptime.
func unsettled(s status.App, a units.App, f status.Facts, settle time.Duration, now time.Time) (list []int, wait time.Duration) {
	for i, one := range s.Instances {
		switch {
		case one.State == "skipped" || one.State == "stopped" && a.Restart != units.RestartAlways:
		case one.State != "running":
			list, wait = append(list, one.Instance), max(wait, settle)
		case i < len(f.Instances) && f.Instances[i].Runs != nil && f.Instances[i].Runs.Failures > 0 && one.Since != nil:
			if left := cmp.Or(a.Shim.MinUptime, contract.MinUptime) - now.Sub(*one.Since); left > 0 {
				list, wait = append(list, one.Instance), max(wait, min(left, longestLook))
			}
		}
	}
	return list, wait
}

// newerFiles returns the files that are read at a start and have changed since an instance started.
func (in *installation) newerFiles(s status.App) []string {
	var oldest *time.Time
	for _, i := range s.Instances {
		if i.Since != nil && (oldest == nil || i.Since.Before(*oldest)) {
			oldest = i.Since
		}
	}
	if oldest == nil {
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
		// The time of the change of the inode: a copy may have an old time of modification.
		if time.Unix(st.Ctim.Unix()).After(*oldest) {
			newer = append(newer, path)
		}
	}
	return newer
}
