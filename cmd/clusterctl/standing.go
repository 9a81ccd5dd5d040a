package main

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
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// standing is how an app that an install or an apply left alone stands.
type standing struct {
	State  string `json:"state"`
	Ready  int    `json:"ready"`
	Wanted int    `json:"wanted"`
	// NewerFiles are read at a start, and have changed since an instance started.
	NewerFiles []string `json:"newerFiles,omitempty"`
}

// longestLook bounds how long an instance is watched that has had short runs.
const longestLook = 30 * time.Second

// stands finds out how an app runs whose instances were left alone. It fails if the app does not run as it should.
func (d *deploy) stands(ctx context.Context, o updateOptions, out *outcome) error {
	s, f, err := d.e.statusNow(ctx, d.conn, d.app)
	if err != nil {
		return err
	}
	if err = wrong(s, d.app, o.start); err != nil {
		lines, _ := journal.Tail(ctx, troubled(s), d.app.LogNamespace(), logLines, time.Time{})
		err = &fault.NotReached{Err: err, Log: lines}
	} else if list, wait := unsettled(s, d.app, f, o.settle, d.e.now()); len(list) > 0 {
		p := d.e.newProgress(string(d.app.Name), len(list))
		err = d.conn.StartInstances(ctx, d.app.Name, list, wait, 0, p.observe)
		p.end()
		err = explainInstance(context.WithoutCancel(ctx), err, d.app.LogNamespace(), time.Time{})
		var lookErr error
		if s, _, lookErr = d.e.statusNow(context.WithoutCancel(ctx), d.conn, d.app); lookErr != nil {
			return errors.Join(err, lookErr)
		}
	}
	out.standing = &standing{State: s.State, Ready: s.Ready, Wanted: s.Wanted, NewerFiles: d.newerFiles(s)}
	var reached *fault.NotReached
	if !errors.As(err, &reached) || fault.Hint(err) != "" {
		return err
	}
	return fault.WithHint(err, "clusterctl logs %s; when the program is repaired: sudo clusterctl reload %[1]s", d.app.Name)
}

// newerFiles returns the files of the standing, if there is one.
func (o outcome) newerFiles() []string {
	if o.standing == nil {
		return nil
	}
	return o.NewerFiles
}

// statusNow returns the state of one app, without its CPU use.
func (e *env) statusNow(ctx context.Context, conn *control.Conn, a units.App) (status.App, status.Facts, error) {
	listed, err := e.listed(a.Name)
	if err != nil {
		return status.App{}, status.Facts{}, err
	}
	c := e.collector(conn)
	c.NoCPU = true
	var l status.List
	l.Add(a, listed, 0)
	if err := c.Collect(ctx, &l); err != nil {
		return status.App{}, status.Facts{}, err
	}
	return l.Apps[0], l.Facts[0], nil
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

// wrong returns an error if the app does not run as it should. starts says that what is stopped is about to be started.
func wrong(s status.App, a units.App, starts bool) error {
	if s.Problem != "" {
		return fmt.Errorf("%s: %d/%d ready: %s", s.Name, s.Ready, s.Wanted, s.Problem)
	}
	for _, i := range s.Instances {
		if i.State == "stopped" && a.Restart == units.RestartAlways && !starts {
			return fault.WithHint(fmt.Errorf("%s: %d/%d ready: %s is stopped", s.Name, s.Ready, s.Wanted, i.Unit), "sudo clusterctl start %s", s.Name)
		}
	}
	return nil
}

// unsettled returns the instances to watch although nothing is wrong at this moment, and for how long: the time to settle for
// an instance on its way up, and until its run is not a short one any more where the runs before were short.
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
func (d *deploy) newerFiles(s status.App) []string {
	var oldest *time.Time
	for _, i := range s.Instances {
		if oldest == nil || i.Since != nil && i.Since.Before(*oldest) {
			oldest = i.Since
		}
	}
	if oldest == nil {
		return nil
	}
	var paths, newer []string
	for _, f := range d.app.EnvFiles {
		paths = append(paths, f.Path)
	}
	for _, secret := range d.target.Secrets {
		paths = append(paths, secret.Path)
	}
	for _, word := range d.app.Command {
		if !strings.HasPrefix(word, "-") && strings.ContainsAny(word, "/.") {
			path := word
			if !filepath.IsAbs(path) {
				path = filepath.Join("/", d.app.Directory, path)
			}
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		var st unix.Stat_t
		// The time of the change of the inode: a copy may have an old time of modification.
		if !slices.Contains(newer, path) && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && time.Unix(st.Ctim.Unix()).After(*oldest) {
			newer = append(newer, path)
		}
	}
	return newer
}

// noteNewer names the files that the instances have not read yet.
func (e *env) noteNewer(n units.Name, files []string) {
	for _, f := range files {
		e.note("%s: %s has changed since the app started: sudo clusterctl reload %[1]s", n, text.Shell(f))
	}
}
