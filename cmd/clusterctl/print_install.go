package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
)

// runsAs returns the user of the instances, in words.
func runsAs(a units.App) string {
	if a.RunAs.Dynamic() {
		return "a dynamic user"
	}
	return "user " + a.RunAs.String()
}

// The method announce prints the number of instances, their user, and the addresses of the app.
func (e *env) announce(f manage.Files, out manage.Outcome) error {
	state := "running"
	if out.Action == manage.Updated {
		state = "updated, running"
	}
	fmt.Fprintf(e.stdout, "%s: %s %s (%s) as %s\n", f.App.Name, text.Count(f.Target.Sizing.Want, "instance"), state,
		f.Target.Sizing.Reason, runsAs(f.App))
	for _, where := range openedAddresses(f.App) {
		fmt.Fprintf(e.stdout, "listening on %s\n", text.Printable(where))
	}
	if n := couldRun(f); n > 0 {
		fmt.Fprintf(e.stdout, "1 instance; -i max runs one per CPU (%d)\n", n)
	}
	e.noteSocketAccess(f.App)
	undo := "uninstall"
	if out.Action == manage.Updated && len(out.Changed) > 0 {
		undo = "rollback"
	}
	e.note("logs: clusterctl logs %s    undo: sudo clusterctl %s %[1]s", f.App.Name, undo)
	return nil
}

// couldRun returns the number of instances that -i max would run. It returns 0 if the user gave a number, if the app has no
// listener, or if the machine has one CPU.
func couldRun(f manage.Files) int {
	perCPU := units.Count{Max: true}.Resolve(f.CPUs).Want
	if f.App.Instances.Given() || len(f.App.Listen) == 0 || perCPU < 2 {
		return 0
	}
	return perCPU
}

// openedAddresses returns a text for each listener of the app. The text contains the address and, for a Unix socket, the
// mode and the owner.
func openedAddresses(a units.App) []string {
	var all []string
	for _, l := range a.Listen {
		where := l.Opened(a.Listen)
		if l.Network == units.Unix && !strings.HasPrefix(l.Path, "@") {
			access := a.SocketAccess()
			owner := cmp.Or(access.User, "root")
			if access.Group != "" {
				owner += ":" + access.Group
			}
			where += " (mode " + units.FormatSocketMode(access.Mode) + ", owner " + owner + ")"
		}
		all = append(all, where)
	}
	return all
}

// dryRun prints the files that an install would write.
func (e *env) dryRun(ctx context.Context, a units.App) error {
	f, err := e.render(ctx, a)
	if err != nil {
		return err
	}
	all := make(units.Set, 0, len(f.Set))
	for _, file := range f.Set {
		file.Path = e.store.SetPath(a.Name, file.Path)
		all = append(all, file)
	}
	all = append(all, units.File{Path: f.Target.Source, Data: f.Source})
	more, s := "", f.Target.Sizing
	if s.Listed > s.Want {
		more = fmt.Sprintf("; up to %d if the machine gets more CPUs", s.Listed)
	}
	e.note("instances: %d (%s)%s", s.Want, s.Reason, more)
	return e.printFiles("", all)
}

// noteNewer prints a note for each file in the list files. All these files have changed after the start of the app.
func (e *env) noteNewer(n units.Name, files []string) {
	for _, f := range files {
		e.note("%s: %s has changed since the app started: sudo clusterctl reload %[1]s", n, text.Shell(f))
	}
}

// noteOwnListeners prints the addresses that the instances of a background app opened themselves, and how to replace these
// listeners by one shared listener.
func (e *env) noteOwnListeners(name units.Name, own []string) {
	if len(own) > 0 {
		e.note("%s listens on %s, each instance for itself; to share the address, install the app again with --listen %s", name,
			strings.Join(own, " "), own[0])
	}
}

// noteSocketAccess prints a note for each Unix socket to which only root can connect, and for each abstract Unix socket, to
// which every local process can connect.
func (e *env) noteSocketAccess(a units.App) {
	access := a.SocketAccess()
	for _, l := range a.Listen {
		switch {
		case l.Network != units.Unix:
		case strings.HasPrefix(l.Path, "@"):
			e.note("%s is an abstract name: every local process can connect to it", l.Path)
		case access.User == "" && access.Group == "" && access.Mode&0o006 == 0:
			e.note("%s: only root can connect; for a web server: --socket-group www-data", l.Path)
		}
	}
}

// The method probe runs the program until it listens, and returns the report of this run, which contains the addresses that
// the program binds.
func (e *env) probe(ctx context.Context, s *manage.Session, a units.App, times resolve.Times) (r contract.Report, err error) {
	if err := s.CheckSecrets(a); err != nil {
		return r, err
	}
	if err := e.announceProbe(ctx, s, a, times.Limit); err != nil {
		return r, err
	}
	p, err := s.Probe(ctx, a, times.Limit, times.Idle)
	if err != nil {
		return r, err
	}
	if err := resolve.ProgramError(p.Report, a, p.Unit); err != nil {
		return r, s.Explain(context.WithoutCancel(ctx), err, "", p.Started)
	}
	return p.Report, nil
}

// announceProbe prints which command the probe runs, and how to avoid the probe. A program without a port, such as a queue
// consumer, does real work in the probe, until the probe kills it.
func (e *env) announceProbe(ctx context.Context, s *manage.Session, a units.App, timeout time.Duration) error {
	running, err := s.Running(ctx)
	if err != nil {
		return err
	}
	e.note("probe: running %s once to see what it listens on, as %s, for at most %s", text.ShellLine(a.Command), runsAs(a),
		text.Duration(timeout))
	avoid := "--no-listen for a program without a port, or --no-probe with --listen PORT"
	if len(a.Listen) > 0 {
		avoid = "--no-probe"
	}
	e.note("probe: this is a real run, with the environment and the files of the app; to avoid it: %s", avoid)
	if running > 0 {
		e.note("probe: %s is already running (%s); this is one more run", a.Name, text.Count(running, "instance"))
	}
	return nil
}
