package units

import (
	"cmp"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

type instanceView struct {
	header
	Sockets, Follow, Extra    value
	Type, NotifyAccess        value
	Exec, Directory           value
	DynamicUser, User, Group  value
	Env, EnvFiles             []value
	Restart, NoRestart        value
	Backoff, Stopped, Drain   value
	Delay, LongestDelay       value
	Noted, NonBlocking        value
	StopStatus, ForceRestart  value
	TimeoutStart, TimeoutStop value
	LogNamespace              value
	LogInterval, LogBurst     value
	LogUnlimited              value
	// Report is the file to which a probe writes its report.
	Report value
	// Capabilities are the capabilities of the unit if it has no sandbox.
	Capabilities value
	// Credentials and EncryptedCredentials are set only for a probe. The instances get credentials from a drop-in.
	Credentials, EncryptedCredentials []value
}

func (r *renderer) instance() instanceView {
	a := r.app
	v := instanceView{
		header:       r.header(a.Name.Template()),
		Sockets:      fixed(strings.Join(r.sockets, " ")),
		Exec:         r.exec(),
		Restart:      fixed(a.Restart.String()),
		TimeoutStart: seconds(a.Timeouts.Start, contract.StartTimeout),
		TimeoutStop:  seconds(a.unitStop(), 0),
	}
	v.StopStatus = stopStatus
	if a.Restart == RestartOnFailure {
		v.ForceRestart = stopStatus
	}
	r.readiness(&v)
	v.NonBlocking = r.nonBlocking()
	if a.Logs.Namespace {
		v.LogNamespace = fixed(a.Name.LogNamespace())
	}
	if a.Sandbox == SandboxOff {
		v.Capabilities = a.capabilities()
	}
	if rate := a.LogRate(); !rate.Off {
		v.LogInterval, v.LogBurst = seconds(rate.Per, 0), fixed(strconv.Itoa(rate.Lines))
	} else {
		// A larger number would overflow 32 bits in journald, which multiplies the burst by a factor for the free space.
		v.LogUnlimited = "90000000"
	}
	r.restarts(&v)
	if r.target.Sizing.Follow {
		v.Follow = ">=%i"
		v.Extra = fixed(path.Join(contract.RunDirectory, contract.ExtraDirectory, string(a.Name)+"@%i"))
	}
	if a.Directory != "" {
		v.Directory = r.must(absolutePath("directory", a.Directory))
	}
	if a.RunAs.Dynamic() {
		v.DynamicUser = fixed(a.Name.DynamicUser())
	} else {
		v.User = r.must(lineText("run-as", a.RunAs.User))
		v.Group = r.must(lineText("run-as", a.RunAs.Group))
	}
	r.variables(&v)
	return v
}

// stopStatus contains the exit statuses of programs that handle SIGTERM or SIGINT and exit with 128 plus the signal number.
const stopStatus = "143 130"

// The method variables sets the sources of an instance's environment.
func (r *renderer) variables(v *instanceView) {
	a := r.app
	if !a.NeedsShim() {
		// For apps that the shim starts, the shim sets this variable and NODE_APP_INSTANCE.
		v.Env = append(v.Env, fixed(`"`+contract.InstanceVariable+`=%i"`))
	}
	if len(a.Env) > 0 && r.target.Values != "" {
		// The values file comes before the user's files, because the values of the last file win.
		v.EnvFiles = append(v.EnvFiles, r.must(globPath("env", r.target.Values)))
		a.Env = nil
	}
	for _, e := range a.Env {
		v.Env = append(v.Env, r.must(word("env", e.Name+"="+e.Value)))
	}
	for _, e := range a.Shim.Increment {
		// This is the value for the first instance.
		v.Env = append(v.Env, r.must(word("increment", e.Name+"="+e.Value)))
	}
	for _, f := range a.EnvFiles {
		if f.ByWorker {
			continue // envFileWords passes this file to the shim
		}
		p := r.must(globPath("env-files", f.Path))
		if f.Optional {
			p = "-" + p
		}
		v.EnvFiles = append(v.EnvFiles, p)
	}
}

// The method readiness sets Type= and NotifyAccess=.
func (r *renderer) readiness(v *instanceView) {
	v.Type = "exec"
	if r.target.Systemd < safeTypeExec {
		v.Type = "simple"
	}
	switch {
	case r.app.Adopted():
		// A child process of the shim, the notifier, sends READY=1 for the program, and NOTIFYACCESS=none.
		v.Type, v.NotifyAccess = "notify", "all"
	case r.app.Ready == ReadyNotify:
		v.Type, v.NotifyAccess = "notify", "main"
		if r.target.Systemd >= knowsNotifyAccess {
			v.NotifyAccess = "exec"
		}
	}
}

// knowsNotifyAccess is the first systemd that supports the message NOTIFYACCESS=none. This message revokes the program's
// right to send messages. A program with this right could extend its own stop without limit (EXTEND_TIMEOUT_USEC=). For an
// adopted program, a child process of the shim sends NOTIFYACCESS=none together with READY=1. A program with --ready notify
// has the right while it runs, and the stop command sends NOTIFYACCESS=none. NotifyAccess=exec permits messages from the
// program and from the stop command.
const knowsNotifyAccess = 254

// guardWords returns flags for the stop command. With these flags, the command starts a process that kills the instance
// after its stop timeout. Without this process, systemd may kill the instance later:
//   - In versions before knowsNotifyAccess, the program may extend its own stop. In later versions, the program may send
//     NOTIFYACCESS=main before the stop command sends NOTIFYACCESS=none.
//   - TimeoutStopSec= also limits the drain, so TimeoutStopSec= can be longer than the stop timeout.
func (r *renderer) guardWords() []string {
	after := r.app.stopTime()
	switch {
	case after < r.app.unitStop():
	case r.app.Adopted(), r.app.Ready == ReadyNotify:
		after += guardMargin
	default:
		return nil
	}
	return []string{"--kill-after=" + string(seconds(after, 0)) + ":%n"}
}

// stopTime returns the time from the stop signal to SIGKILL. If the program drains itself, this time includes the drain.
func (a App) stopTime() time.Duration {
	if a.Timeouts.Stop > 0 || a.isDrained() || a.Timeouts.Drain == 0 {
		return cmp.Or(a.Timeouts.Stop, contract.StopTimeout)
	}
	return max(contract.StopTimeout, a.Timeouts.Drain+stopMargin)
}

// unitStop returns TimeoutStopSec=. systemd applies this limit separately to the drain (ExecStop=) and to the time after the
// stop signal.
func (a App) unitStop() time.Duration {
	if !a.isDrained() {
		return a.stopTime()
	}
	return max(a.stopTime(), cmp.Or(a.Timeouts.Drain, contract.DrainTimeout)+stopMargin)
}

// stoppingWords returns the ExecStop= command of an app that the shim does not drain.
func (r *renderer) stoppingWords() string {
	words := []string{r.target.shim(), "stopping"}
	if r.app.Restart != RestartNo {
		words = append(words, r.stateWord())
	}
	return strings.Join(append(words, r.guardWords()...), " ")
}

// safeTypeExec is the first systemd with which Type=exec can be combined with ExecStop= or ExecStopPost=. In earlier
// versions, PID 1 goes into an endless loop if a program ends before PID 1 has seen that the program was executed
// (core/service.c; fixed in 249).
//
// FIXME(systemd 247): remove this when Debian 11 is no longer supported.
const safeTypeExec = 249

// nonBlocking returns NonBlocking=, which must be the same in the unit of the app and in the instances. For an app without
// listeners, it returns "".
func (r *renderer) nonBlocking() value {
	switch {
	case len(r.app.Listen) == 0:
		return ""
	case r.app.Shim.Blocking:
		return "no"
	}
	return "yes"
}

// knowsRestartSteps is the first systemd with RestartSteps=.
//
// PID 1 sets the timer of RestartSec= with an accuracy of 250 ms (core/service.c, service_arm_timer; sd_event_add_time(3)),
// so a delay of 10 ms becomes 10 to 260 ms. PID 1 checks its timers again a few hundred microseconds after it sets this
// timer. The first delay is 100 µs, so that the timer has expired by then.
//
// If PID 1 cannot start a unit (missing user or EnvironmentFile=), the shim does not run, so it cannot delay the next start.
// With a constant delay of 100 µs, PID 1 would be busy all the time: systemd 252 makes 600 attempts per second. So
// RestartSteps= increases the delay over a hundred restarts, up to 10 ms.
const knowsRestartSteps = 254

// The method restarts sets the commands before and after a run, and the delay between runs. After short runs, the shim waits
// before the next start (backoff). RestartSteps= is not used for this wait: before 258 (RESTART_RESET=1), systemd counts all
// restarts since the last manual start. After ten crashes in a year, each restart would then have the longest delay
// (systemd.service(5)).
func (r *renderer) restarts(v *instanceView) {
	if r.app.isDrained() {
		v.Drain = fixed(r.drainWords())
	}
	if r.app.NeedsShim() {
		var final []string
		for _, status := range contract.FinalStatuses() {
			final = append(final, strconv.Itoa(status))
		}
		v.NoRestart = fixed(strings.Join(final, " "))
	}
	if r.app.Restart == RestartNo {
		if v.NotifyAccess != "" && !r.app.isDrained() {
			v.Noted = fixed("-+:" + r.stoppingWords())
		}
		return
	}
	if !r.app.isDrained() {
		// If the shim does not drain, this command records that the stop was requested. Otherwise a worker that exits with 0
		// after SIGTERM would look like a worker that ended by itself.
		v.Noted = fixed("-+:" + r.stoppingWords())
	}
	v.Stopped = fixed("-+:" + r.stoppedWords())
	v.Delay = "10ms"
	if r.target.Systemd >= knowsRestartSteps {
		v.Delay, v.LongestDelay = "100us", v.Delay
	}
	if !r.app.launcherWaits() {
		v.Backoff = fixed(r.backoffWords())
	}
}

// The method exec returns the command line after "ExecStart=:".
func (r *renderer) exec() value {
	if !r.app.NeedsShim() {
		return r.commandLine(r.app.Command)
	}
	return fixed(strings.Join(append(r.shimWords(), r.words("command", "", r.app.Command)...), " "))
}

// commandLine returns an argv as quoted words. If systemd does not accept the path of the program, a shell executes the
// program with exec, so that the main process is the program itself.
func (r *renderer) commandLine(argv []string) value {
	words := []string{"/bin/sh", "-c", quoteWord(`exec "$0" "$@"`)}
	if safeExecutable(argv[0]) {
		words, argv = []string{programWord(argv[0])}, argv[1:]
	}
	return fixed(strings.Join(append(words, r.words("command", "", argv)...), " "))
}

// The method words returns each text as a quoted word that begins with the prefix.
func (r *renderer) words(field, prefix string, texts []string) []string {
	var words []string
	for _, s := range texts {
		words = append(words, string(r.must(word(field, prefix+s))))
	}
	return words
}

// programWord returns a path, with quotes only if the path needs them.
func programWord(s string) string {
	if alnumOr(s, "/._-+@:") {
		return s
	}
	return quoteWord(s)
}

// The function seconds returns the duration d, or the parameter fallback if d is 0, in the syntax of systemd.time(7).
func seconds(d, fallback time.Duration) value {
	// Round up, because "0s" would mean no limit.
	ms := int64((cmp.Or(d, fallback) + time.Millisecond - 1) / time.Millisecond)
	if ms%1000 != 0 {
		return fixed(strconv.FormatInt(ms, 10) + "ms")
	}
	return fixed(strconv.FormatInt(ms/1000, 10) + "s")
}
