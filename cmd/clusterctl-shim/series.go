package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/adopt"
	"github.com/clusterctl/clusterctl/activation/shim/backoff"
	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// stateFlag names the instance as "/run/clusterctl/APP/N", where root keeps what it remembers of it. It is a flag and not a
// variable: systemd lets the app's EnvironmentFile= set any variable, also for commands that run as root.
func stateFlag(f *flag.FlagSet) *string { return f.String("state", "", "") }

// holdBack waits as long as the series of short runs asks for. What goes wrong
// with the state is said and never stops a start.
func holdBack(instance string, policy backoff.Policy, longest time.Duration) error {
	s, d, err := backoff.Begin(instance, policy)
	if err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	if d.GiveUp {
		return nil // the main process says so, by its status
	}
	if delay := min(d.Delay, longest); delay > 0 {
		if err := wait(instance, s, delay); err != nil {
			return err
		}
	}
	if err := backoff.Started(instance, s); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	return nil
}

// gaveUp is the failure with which the main process ends when the instance has given up: RestartPreventExitStatus= looks at
// the main process alone.
func gaveUp(s backoff.State, maxRestarts int) error {
	return &failure{code: contract.StatusGaveUp,
		err: errors.New("gave up after " + strconv.Itoa(maxRestarts) + " restarts: the last run ended after " +
			s.Uptime.Round(time.Millisecond).String() + " with " + ended(s)),
		hint: "journalctl -u this unit, then clusterctl reset and start it again",
	}
}

// waitCommand is ExecStartPre= where the launcher does not wait itself: it waits before the program is started, and notes when it is.
func waitCommand(args []string) (int, error) {
	f := flag.NewFlagSet("wait", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	minUptime := f.Duration("min-uptime", contract.MinUptime, "")
	longest := f.Duration("max-delay", contract.MaxDelay, "")
	maxRestarts := f.Int("max-restarts", -1, "")
	state, listeners := stateFlag(f), relistenFlag(f)
	if err := f.Parse(args); err != nil {
		return 0, usage(err.Error())
	}
	if *state == "" || *minUptime <= 0 || *longest <= 0 || f.NArg() > 0 {
		return 0, usage("wait: want --state PATH, --min-uptime DURATION, --max-delay DURATION, --max-restarts N and nothing else")
	}
	// systemd hears the main process only, and would log each message of ours as refused.
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return 0, err
	}
	listenAgain(*listeners)
	if err := backoff.Prepare(*state); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	return 0, holdBack(*state, backoff.Policy{MinUptime: *minUptime, MaxRestarts: *maxRestarts}, *longest)
}

func ended(s backoff.State) string {
	if s.Status == "" {
		return s.Result
	}
	return s.Status
}

// tellWait tells systemd why the start takes a while, and that its timeout must too.
func tellWait(s backoff.State, d time.Duration) {
	err := adopt.Notify(
		"STATUS="+contract.Waiting{Delay: d.Round(time.Millisecond), ShortRuns: s.Failures, Last: ended(s)}.String(),
		// The program may still take its usual time after the delay.
		"EXTEND_TIMEOUT_USEC="+strconv.FormatInt((d+contract.StartTimeout).Microseconds(), 10),
	)
	if err != nil {
		report(err)
	}
}

// wait returns after the delay, or ends this process by the signal with which somebody stops the instance.
func wait(instance string, s backoff.State, d time.Duration) error {
	sig, stopped := backoff.Wait(d)
	if !stopped {
		return nil
	}
	// Somebody stops the instance: the series is over, and the end is the signal's.
	if err := backoff.Save(instance, backoff.State{}); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	return endBy(sig)
}

// endBy ends this process by a signal.
func endBy(sig syscall.Signal) error {
	if err := unix.Kill(unix.Getpid(), sig); err != nil {
		return err
	}
	select {} // the signal is on its way
}

// stoppingCommand is ExecStop= of an app that is not drained from outside: it notes
// that the stop was asked for, and does no more.
func stoppingCommand(args []string) (int, error) {
	f := flag.NewFlagSet("stopping", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	after := f.String("kill-after", "", "")
	state := stateFlag(f)
	if err := f.Parse(args); err != nil {
		return 0, usage(err.Error())
	}
	seal()
	noteStop(*state)
	if *after != "" {
		startGuard(*after)
	}
	return 0, nil
}

// seal takes the notify socket from the program, so that it cannot stretch the stop with EXTEND_TIMEOUT_USEC=. systemd before
// 254 does not know this message, and a program may have taken the socket for itself; there is startGuard for both.
func seal() {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	if err := adopt.Notify("NOTIFYACCESS=none"); err != nil {
		report(err)
	}
}

// noteStop tells the backoff whether somebody asked for this stop. Without a
// state the app has no backoff, and noteStop does nothing.
func noteStop(state string) {
	if state == "" {
		return
	}
	// The program still runs: what a former version gave it at this place stays until it has ended.
	if err := backoff.MakeDirectory(state); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	if err := backoff.Stopping(state, os.Getenv("MAINPID") != ""); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
}

// stoppedCommand is ExecStopPost=: it judges the run. It never fails a unit.
func stoppedCommand(args []string) (int, error) {
	f := flag.NewFlagSet("stopped", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	minUptime := f.Duration("min-uptime", contract.MinUptime, "")
	noted := f.Bool("exec-stop", false, "")
	last := f.String("last-stops", "", "")
	state, listeners := stateFlag(f), relistenFlag(f)
	if err := f.Parse(args); err != nil {
		return 0, usage(err.Error())
	}
	if *state == "" {
		return 0, usage("stopped: want --state PATH")
	}
	listenAgain(*listeners)
	if err := backoff.Prepare(*state); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	e := backoff.Exit{Result: os.Getenv("SERVICE_RESULT"), Code: os.Getenv("EXIT_CODE"), Status: os.Getenv("EXIT_STATUS"), Noted: *noted}
	e.GaveUp = e.Code == "exited" && e.Status == strconv.Itoa(contract.StatusGaveUp)
	// systemd calls ExecStop= only for a service that has become ready.
	neverReady := *noted && backoff.Load(*state).Stop == backoff.Unnoted
	if err := backoff.Record(*state, backoff.Policy{MinUptime: *minUptime, MaxRestarts: -1}, e); err != nil {
		report(errors.New("backoff: " + err.Error()))
	}
	startRelease(backoff.Load(*state), neverReady)
	if *last != "" && allGaveUp(*state) {
		return 0, stopApp(*last)
	}
	return 0, nil
}

// allGaveUp reports whether this instance and all its siblings have given up. One that has a cgroup runs, whatever is known of
// its runs: that is forgotten at each reload. One whose state cannot be read has not given up.
func allGaveUp(instance string) bool {
	if run, err := drain.SiblingsRun(); err != nil || run {
		return false
	}
	parent := filepath.Dir(instance)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return false
	}
	for _, e := range entries {
		name, found := strings.CutSuffix(e.Name(), contract.BackoffSuffix)
		if found && !backoff.Load(filepath.Join(parent, name)).GaveUp {
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
