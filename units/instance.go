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
	Report                    value // of a probe
	// Capabilities where no sandbox bounds them.
	Capabilities value
	// Credentials are only set for a probe; the instances have a drop-in.
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
		// More overflows 32 bits in journald, which multiplies the burst by the free space.
		v.LogUnlimited = "90000000"
	}
	r.restarts(&v)
	if r.target.Sizing.Follow {
		v.Follow = ">=%i"
		v.Extra = fixed(path.Join(contract.RunDirectory, contract.ExtraDirectory, string(a.Name)+"@%i"))
	}
	if a.Directory != "" {
		v.Directory = r.must(absolute("directory", a.Directory))
	}
	if a.RunAs.Dynamic() {
		v.DynamicUser = fixed(a.Name.DynamicUser())
	} else {
		v.User = r.must(plain("run-as", a.RunAs.User))
		v.Group = r.must(plain("run-as", a.RunAs.Group))
	}
	r.variables(&v)
	return v
}

// stopStatus are the exit statuses of programs that handle the stop signal and end with 128 + its number.
const stopStatus = "143 130"

// variables fills in where the environment of an instance comes from.
func (r *renderer) variables(v *instanceView) {
	a := r.app
	if !a.launched() {
		// The shim sets it, and NODE_APP_INSTANCE, for those that it starts.
		v.Env = append(v.Env, fixed(`"`+contract.InstanceVariable+`=%i"`))
	}
	switch {
	case len(a.Env) > 0 && r.target.Values != "":
		// Before the files of the user, whose values win.
		v.EnvFiles = append(v.EnvFiles, r.must(globPath("env", r.target.Values)))
	default:
		for _, e := range a.Env {
			v.Env = append(v.Env, r.must(word("env", e.Name+"="+e.Value)))
		}
	}
	for _, e := range a.Shim.Increment {
		// Where the shim begins to count.
		v.Env = append(v.Env, r.must(word("increment", e.Name+"="+e.Value)))
	}
	for _, f := range a.EnvFiles {
		if f.ByWorker {
			continue // one of envFileWords
		}
		p := r.must(globPath("env-files", f.Path))
		if f.Optional {
			p = "-" + p
		}
		v.EnvFiles = append(v.EnvFiles, p)
	}
}

// readiness fills in how the service manager learns that the instance is ready.
func (r *renderer) readiness(v *instanceView) {
	v.Type = "exec"
	if r.target.Systemd < execIsSafe {
		v.Type = "simple"
	}
	switch {
	case r.app.Adopted():
		// The notifier beside the program says READY=1 for it, and NOTIFYACCESS=none.
		v.Type, v.NotifyAccess = "notify", "all"
	case r.app.Ready == ReadyNotify:
		v.Type, v.NotifyAccess = "notify", "main"
		if r.target.Systemd >= accessEnds {
			v.NotifyAccess = "exec"
		}
	}
}

// accessEnds is the first systemd that knows the message NOTIFYACCESS=none, which takes the right to speak from the program:
// it could stretch its own stop without end (EXTEND_TIMEOUT_USEC=). Of an adopted app the notifier says it with READY=1; of one
// that may speak while it runs (--ready notify), the command at the stop, which NotifyAccess=exec lets speak too.
const accessEnds = 254

// guardWords are the flags with which the command at the stop leaves a process behind that kills the instance when its time is
// over: before accessEnds the program may stretch its stop, and after it a program that was quick enough to say
// NOTIFYACCESS=main first. Where systemd itself would come later, because the drain may take longer, the process comes in time.
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

// stopTime is the time from the stop signal to SIGKILL. A program that drains itself does it in that time.
func (a App) stopTime() time.Duration {
	if a.Timeouts.Stop > 0 || a.drained() || a.Timeouts.Drain == 0 {
		return cmp.Or(a.Timeouts.Stop, contract.StopTimeout)
	}
	return max(contract.StopTimeout, a.Timeouts.Drain+stopMargin)
}

// unitStop is TimeoutStopSec=, which bounds the drain (ExecStop=) and the time after the stop signal, each for itself.
func (a App) unitStop() time.Duration {
	if !a.drained() {
		return a.stopTime()
	}
	return max(a.stopTime(), cmp.Or(a.Timeouts.Drain, contract.DrainTimeout)+stopMargin)
}

// stoppingWords is ExecStop= of an app that is not drained.
func (r *renderer) stoppingWords() string {
	words := []string{r.target.shim(), "stopping"}
	if r.app.Restart != RestartNo {
		words = append(words, r.stateWord())
	}
	return strings.Join(append(words, r.guardWords()...), " ")
}

// execIsSafe is the first systemd whose Type=exec can be had with ExecStop= or ExecStopPost=: before it, a program that
// ends before PID 1 has seen that it was executed makes PID 1 spin for ever (core/service.c; mended in 249).
//
// FIXME(systemd 247): drop when Debian 11 is no longer supported.
const execIsSafe = 249

// nonBlocking is the same for the aggregate and the instances, and empty without listeners.
func (r *renderer) nonBlocking() value {
	switch {
	case len(r.app.Listen) == 0:
		return ""
	case r.app.Shim.Blocking:
		return "no"
	}
	return "yes"
}

// delayGrows is the first systemd with RestartSteps=. PID 1 sets the timer of RestartSec= with an accuracy of 250 ms
// (core/service.c, service_arm_timer; sd_event_add_time(3)), so that 10 ms become 10 to 260. A timer that has run out
// before PID 1 looks at it next, some hundred microseconds later, is not late at all. But with such a delay for ever, a
// unit that PID 1 itself cannot start (no such user, no EnvironmentFile=), where no backoff of ours runs, keeps PID 1 busy:
// 600 tries a second on 252. So the delay grows to what it is before this version, in a hundred restarts.
const delayGrows = 254

// restarts fills in what ends and begins a run. The backoff is the shim's on every version: RestartSteps= counts restarts
// since the last start by hand, so after the tenth crash in a year each restart would take the longest time
// (systemd.service(5); RESTART_RESET=1 mends that from 258 on).
func (r *renderer) restarts(v *instanceView) {
	if r.app.drained() {
		v.Drain = fixed(r.drainWords())
	}
	if r.app.launched() {
		var final []string
		for _, status := range contract.FinalStatuses() {
			final = append(final, strconv.Itoa(status))
		}
		v.NoRestart = fixed(strings.Join(final, " "))
	}
	if r.app.Restart == RestartNo {
		if v.NotifyAccess != "" && !r.app.drained() {
			v.Noted = fixed("-+:" + r.stoppingWords())
		}
		return
	}
	if !r.app.drained() {
		// The drain notes it as well. Without either, a worker that ends with 0 on SIGTERM looks like one that just ends.
		v.Noted = fixed("-+:" + r.stoppingWords())
	}
	v.Stopped = fixed("-+:" + r.stoppedWords())
	v.Delay = "10ms"
	if r.target.Systemd >= delayGrows {
		v.Delay, v.LongestDelay = "100us", v.Delay
	}
	if !r.app.waits() {
		v.Backoff = fixed(r.backoffWords())
	}
}

// exec is the command line behind "ExecStart=:".
func (r *renderer) exec() value {
	if !r.app.launched() {
		return r.commandLine(r.app.Command)
	}
	words := r.shimWords()
	for _, arg := range r.app.Command {
		words = append(words, string(r.must(word("command", arg))))
	}
	return fixed(strings.Join(words, " "))
}

// commandLine quotes a whole argv. A program whose path systemd itself would refuse is started by a shell that does
// nothing but exec it, so the main process is the program's own.
func (r *renderer) commandLine(argv []string) value {
	words := make([]string, 0, len(argv)+3)
	if safeExecutable(argv[0]) {
		words = append(words, programWord(argv[0]))
		argv = argv[1:]
	} else {
		words = append(words, "/bin/sh", "-c", quoteWord(`exec "$0" "$@"`))
	}
	for _, arg := range argv {
		words = append(words, string(r.must(word("command", arg))))
	}
	return fixed(strings.Join(words, " "))
}

// programWord leaves an ordinary path as it is, for the reader's sake.
func programWord(s string) string {
	if strings.ContainsFunc(s, func(c rune) bool {
		return c > 127 || !isAlnum(byte(c)) && !strings.ContainsRune("/._-+@:", c)
	}) {
		return quoteWord(s)
	}
	return s
}

// seconds adds up durations, the first of which falls back to a default, as a systemd.time(7) span.
func seconds(d, fallback time.Duration, more ...time.Duration) value {
	if d == 0 {
		d = fallback
	}
	for _, m := range more {
		d += m
	}
	// Rounded up: "0s" would be no limit at all.
	ms := int64((d + time.Millisecond - 1) / time.Millisecond)
	if ms%1000 != 0 {
		return fixed(strconv.FormatInt(ms, 10) + "ms")
	}
	return fixed(strconv.FormatInt(ms/1000, 10) + "s")
}
