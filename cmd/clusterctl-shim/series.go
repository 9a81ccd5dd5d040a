package main

import (
	"flag"
	"fmt"
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

// stateFlag defines the flag --state, and returns its value: the path "/run/clusterctl/APP/N", where root stores the state
// of the instance. The path is not in an environment variable, because EnvironmentFile= of the app can set every variable,
// also for commands that run as root.
func stateFlag(f *flag.FlagSet) *string { return f.String("state", "", "") }

// delayStart waits before the next start. The delay depends on the recorded short runs, and the parameter longest limits it.
// If the state cannot be read or written, delayStart only prints the error, because the error must not prevent the start.
func delayStart(instance string, policy backoff.Policy, longest time.Duration) error {
	s, d, err := backoff.Begin(instance, policy)
	warn("backoff", err)
	if d.GiveUp {
		return nil // the main process ("run") must return the failure, see gaveUp
	}
	if delay := min(d.Delay, longest); delay > 0 {
		if sig, stopped := backoff.Wait(delay); stopped {
			// After a stop, the next start must not be delayed, so reset the state.
			warn("backoff", backoff.Save(instance, backoff.State{}))
			return endBySignal(sig)
		}
	}
	warn("backoff", backoff.Started(instance, s))
	return nil
}

// gaveUp returns the failure of an instance that has given up. Only the main process may return this failure, because
// RestartPreventExitStatus= does not apply to other processes.
func gaveUp(s backoff.State, maxRestarts int) error {
	return &failure{code: contract.StatusGaveUp,
		err: fmt.Errorf("gave up after %d restarts: the last run ended after %v with %s",
			maxRestarts, s.Uptime.Round(time.Millisecond), describeEnd(s)),
		hint: "read journalctl -u UNIT, then run: clusterctl reset APP && clusterctl start APP",
	}
}

// waitCommand waits for the delay and records the start. Units without "run --backoff" call it in ExecStartPre=.
func waitCommand(args []string) (int, error) {
	f := flag.NewFlagSet("wait", flag.ContinueOnError)
	minUptime := f.Duration("min-uptime", contract.MinUptime, "")
	longest := f.Duration("max-delay", contract.MaxDelay, "")
	maxRestarts := f.Int("max-restarts", -1, "")
	state, listeners := stateFlag(f), relistenFlag(f)
	if err := parse(f, args); err != nil {
		return 0, err
	}
	if *state == "" || *minUptime <= 0 || *longest <= 0 || f.NArg() > 0 {
		return 0, usage("wait: want --state PATH, --min-uptime DURATION, --max-delay DURATION, --max-restarts N and nothing else")
	}
	// systemd only accepts messages from the main process, and would log a warning for a message from this process.
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return 0, err
	}
	listenAgain(*listeners)
	warn("backoff", backoff.Prepare(*state))
	return 0, delayStart(*state, backoff.Policy{MinUptime: *minUptime, MaxRestarts: *maxRestarts}, *longest)
}

// describeEnd returns a text about the end of the last run, such as "exited/7".
func describeEnd(s backoff.State) string {
	if s.Status == "" {
		return s.Result
	}
	return s.Status
}

// sendWaiting sends the reason for the delay to systemd, and extends the timeout of the start.
func sendWaiting(s backoff.State, d time.Duration) {
	err := adopt.Notify(
		"STATUS="+contract.Waiting{Delay: d.Round(time.Millisecond), ShortRuns: s.Failures, Last: describeEnd(s)}.String(),
		// After the delay, the program may take as long as in a start without a delay.
		"EXTEND_TIMEOUT_USEC="+strconv.FormatInt((d+contract.StartTimeout).Microseconds(), 10),
	)
	if err != nil {
		report(err)
	}
}

// endBySignal ends this process by the signal.
func endBySignal(sig syscall.Signal) error {
	if err := unix.Kill(unix.Getpid(), sig); err != nil {
		return err
	}
	select {} // wait for the signal
}

// stoppingCommand records whether the stop was requested, and starts the guard. Apps without a drain call it in ExecStop=.
func stoppingCommand(args []string) (int, error) {
	f := flag.NewFlagSet("stopping", flag.ContinueOnError)
	after := f.String("kill-after", "", "")
	state := stateFlag(f)
	if err := parse(f, args); err != nil {
		return 0, err
	}
	refuseMessages()
	recordStop(*state)
	if *after != "" {
		startGuard(*after)
	}
	return 0, nil
}

// refuseMessages makes systemd ignore messages of the program, so that the program cannot extend its stop with
// EXTEND_TIMEOUT_USEC=. Before systemd 254, or if the program has already restricted the notify socket to itself, the
// message has no effect. If the message has no effect, the guard kills the program.
func refuseMessages() {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	if err := adopt.Notify("NOTIFYACCESS=none"); err != nil {
		report(err)
	}
}

// recordStop records whether the stop was requested. If the parameter state is empty, the app has no backoff, and recordStop
// does nothing.
func recordStop(state string) {
	if state == "" {
		return
	}
	// Do not call Prepare, which removes the runtime directory that an earlier version has created at this path: the program
	// still runs and may use the directory.
	warn("backoff", backoff.MakeDirectory(state))
	warn("backoff", backoff.Stopping(state, os.Getenv("MAINPID") != ""))
}

// stoppedCommand records whether the run was short. Units call it in ExecStopPost=.
func stoppedCommand(args []string) (int, error) {
	f := flag.NewFlagSet("stopped", flag.ContinueOnError)
	minUptime := f.Duration("min-uptime", contract.MinUptime, "")
	hasExecStop := f.Bool("exec-stop", false, "")
	last := f.String("last-stops", "", "")
	state, listeners := stateFlag(f), relistenFlag(f)
	if err := parse(f, args); err != nil {
		return 0, err
	}
	if *state == "" {
		return 0, usage("stopped: want --state PATH")
	}
	listenAgain(*listeners)
	warn("backoff", backoff.Prepare(*state))
	e := backoff.Exit{
		Result: os.Getenv("SERVICE_RESULT"), Code: os.Getenv("EXIT_CODE"), Status: os.Getenv("EXIT_STATUS"), HasExecStop: *hasExecStop,
	}
	e.GaveUp = e.Code == "exited" && e.Status == strconv.Itoa(contract.StatusGaveUp)
	// systemd calls ExecStop= only for a service that has become ready.
	neverReady := *hasExecStop && backoff.Load(*state).Stop == backoff.NotRecorded
	warn("backoff", backoff.Record(*state, backoff.Policy{MinUptime: *minUptime, MaxRestarts: -1}, e))
	startRelease(backoff.Load(*state), neverReady)
	if *last != "" && allGaveUp(*state) {
		return 0, stopApp(*last)
	}
	return 0, nil
}

// allGaveUp reports whether all instances of the app have given up. An instance that has a cgroup is running, whatever its
// state says. An instance whose state cannot be read has not given up.
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

// stopApp stops the unit of the app, which closes the shared socket. No instance will accept connections again, so the
// kernel should refuse new connections and not queue them. stopApp does not wait for the stop, which may wait for the
// instance of this process.
func stopApp(unit string) error {
	report(fmt.Errorf("all instances have given up; stopping %s", unit))
	// Do not pass the environment of this process, which comes from the app: systemctl would use LD_PRELOAD= of an
	// EnvironmentFile= as root.
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	// systemctl is in /usr/bin, or in /bin on a system without a merged /usr.
	err := unix.ENOENT
	for _, path := range []string{"/usr/bin/systemctl", "/bin/systemctl"} {
		if e, ok := unix.Exec(path, []string{"systemctl", "--no-block", "stop", unit}, env).(unix.Errno); ok {
			err = e
		}
	}
	return fmt.Errorf("executing systemctl: %w", err)
}
