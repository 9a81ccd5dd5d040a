package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/adopt"
	"github.com/clusterctl/clusterctl/activation/shim/backoff"
)

// stateFlag is how the commands that run as root beside the program (ExecStartPre=+, ExecStop=+, ExecStopPost=+) are told
// where the state is. $RUNTIME_DIRECTORY will not do: systemd lets the app's EnvironmentFile= set that too, and those who may
// write that file need not be root (core/exec-invoke.c merges the file last).
func stateFlag(f *flag.FlagSet) *string { return f.String("state", "", "") }

// stateOf is the directory that the flag names. Units of before it was there run these commands as the app's user, whose
// environment may say what it likes.
func stateOf(flag string) (string, error) {
	if flag != "" || os.Geteuid() == 0 {
		return flag, nil
	}
	return backoff.Directory(os.Getenv("RUNTIME_DIRECTORY"))
}

// holdBack waits as long as the series of short runs asks for. What goes wrong
// with the state is said and never stops a start.
func holdBack(dir string, policy backoff.Policy, longest time.Duration) error {
	s, d, err := backoff.Begin(dir, policy)
	if err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	if d.GiveUp {
		return &failure{code: exitGaveUp,
			err:  errors.New("gave up after " + strconv.Itoa(policy.MaxRestarts) + " restarts: the last run ended after " + s.Uptime.Round(time.Millisecond).String() + " with " + ended(s)),
			hint: "journalctl -u this unit, then clusterctl reset and start it again",
		}
	}
	if delay := min(d.Delay, longest); delay > 0 {
		if err := wait(dir, s, delay); err != nil {
			return err
		}
	}
	if err := backoff.Started(dir, s); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	return nil
}

// waitCommand is ExecStartPre= of an app that systemd starts directly: the same
// wait, in front of another process.
func waitCommand(args []string) (int, error) {
	f := flag.NewFlagSet("wait", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	minUptime := f.Duration("min-uptime", backoff.DefaultMinUptime, "")
	longest := f.Duration("max-delay", backoff.MaxDelay, "")
	state := stateFlag(f)
	if err := f.Parse(args); err != nil {
		return 0, usage(err.Error())
	}
	dir, err := stateOf(*state)
	if err != nil || dir == "" || *minUptime <= 0 || *longest <= 0 || f.NArg() > 0 {
		return 0, usage("wait: want --state DIRECTORY, --min-uptime DURATION, --max-delay DURATION and nothing else")
	}
	// systemd takes messages from the main process only, and would log each of ours as refused.
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return 0, err
	}
	return 0, holdBack(dir, backoff.Policy{MinUptime: *minUptime, MaxRestarts: -1}, *longest)
}

func ended(s backoff.State) string {
	if s.Status == "" {
		return s.Result
	}
	return s.Status
}

// wait tells systemd why the start takes a while, and that its time-out must.
func wait(dir string, s backoff.State, d time.Duration) error {
	err := adopt.Notify(
		"STATUS=waiting "+d.Round(time.Millisecond).String()+" after "+strconv.Itoa(s.Failures)+" short runs, the last with "+ended(s),
		"EXTEND_TIMEOUT_USEC="+strconv.FormatInt((d+startGrace).Microseconds(), 10),
	)
	if err != nil {
		report(err)
	}
	sig, stopped := backoff.Wait(d)
	if !stopped {
		return nil
	}
	// Somebody stops the instance: the series is over, and the end is the signal's.
	if err := backoff.Save(dir, backoff.State{}); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	if err := unix.Kill(unix.Getpid(), sig); err != nil {
		return err
	}
	select {} // the signal is on its way
}

// startGrace is what the program may still take after the wait.
const startGrace = 60 * time.Second

// stoppingCommand is ExecStop= of an app that is not drained from outside: it notes
// that the stop was asked for, and does no more.
func stoppingCommand(args []string) (int, error) {
	f := flag.NewFlagSet("stopping", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	state := stateFlag(f)
	if err := f.Parse(args); err != nil {
		return 0, usage(err.Error())
	}
	noteStop(*state)
	return 0, nil
}

// noteStop tells the backoff whether somebody asked for this stop. Without a
// directory there is no backoff, and nothing to note.
func noteStop(state string) {
	dir, err := stateOf(state)
	if err != nil || dir == "" {
		return
	}
	if err := backoff.Stopping(dir, os.Getenv("MAINPID") != ""); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
}

// stoppedCommand is ExecStopPost=: it judges the run. It never fails a unit.
func stoppedCommand(args []string) (int, error) {
	f := flag.NewFlagSet("stopped", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	minUptime := f.Duration("min-uptime", backoff.DefaultMinUptime, "")
	noted := f.Bool("exec-stop", false, "")
	last := f.String("last-stops", "", "")
	state := stateFlag(f)
	if err := f.Parse(args); err != nil {
		return 0, usage(err.Error())
	}
	dir, err := stateOf(*state)
	if err != nil || dir == "" {
		return 0, usage("stopped: want --state DIRECTORY")
	}
	e := backoff.Exit{Result: os.Getenv("SERVICE_RESULT"), Code: os.Getenv("EXIT_CODE"), Status: os.Getenv("EXIT_STATUS"), Noted: *noted}
	if err := backoff.Record(dir, backoff.Policy{MinUptime: *minUptime, MaxRestarts: -1}, e); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	if *last != "" && allGaveUp(dir) {
		return 0, stopApp(*last)
	}
	return 0, nil
}

// allGaveUp reports whether this instance and all its siblings have given up. Their runtime directories lie side by side;
// one whose state cannot be read has not given up. With DynamicUser= the unit's mount namespace hides those of the
// siblings, even from a command with "+", so they are looked up as the service manager sees them.
func allGaveUp(dir string) bool {
	parent := filepath.Join("/proc/1/root", filepath.Dir(dir))
	entries, err := os.ReadDir(parent)
	if err != nil {
		return false
	}
	for _, e := range entries {
		// With DynamicUser= they are links.
		if !backoff.Load(filepath.Join(parent, e.Name())).GaveUp {
			return false
		}
	}
	return true
}

// stopApp closes the shared socket once nobody will ever accept from it again: clients are to be refused, not to hang in
// its queue. The job is only queued: this process is part of an instance that the job may wait for.
func stopApp(unit string) error {
	report(errors.New("all instances have given up; stopping " + unit))
	// Not our own environment, which is that of the app: LD_PRELOAD= of an EnvironmentFile= would be root's.
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	// Where it lies with and without a merged /usr.
	err := unix.ENOENT
	for _, path := range []string{"/usr/bin/systemctl", "/bin/systemctl"} {
		if e, ok := unix.Exec(path, []string{"systemctl", "--no-block", "stop", unit}, env).(unix.Errno); ok {
			err = e
		}
	}
	return errors.New("executing systemctl: " + err.Error())
}
