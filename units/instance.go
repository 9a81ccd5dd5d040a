package units

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

type instanceView struct {
	header
	Sockets, Follow, Extra        value
	Type, NotifyAccess            value
	Exec, Directory               value
	DynamicUser, User, Group      value
	Env, EnvFiles                 []value
	Restart, NoRestart            value
	Backoff, Stopped, Drain       value
	Delay, LongestDelay           value
	Noted                         value
	NonBlocking, RuntimeDirectory value
	TimeoutStart, TimeoutStop     value
	LogNamespace                  value
	LogInterval, LogBurst         value
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
		TimeoutStart: seconds(a.Timeouts.Start, DefaultStartTimeout),
		TimeoutStop:  seconds(a.Timeouts.Drain, DefaultDrainTimeout, stopMargin),
	}
	v.Type, v.NotifyAccess = "exec", ""
	switch {
	case a.Adopted():
		// The notifier beside the program says READY=1 for it.
		v.Type, v.NotifyAccess = "notify", "all"
	case a.Ready == ReadyNotify:
		v.Type, v.NotifyAccess = "notify", "main"
	case r.target.Systemd < execIsSafe:
		v.Type = "simple"
	}
	v.NonBlocking = r.nonBlocking()
	if a.Logs.Namespace {
		v.LogNamespace = fixed(a.Name.LogNamespace())
	}
	if a.Sandbox == SandboxOff {
		v.Capabilities = a.capabilities()
	}
	if rate := a.LogRate(); !rate.Off {
		v.LogInterval, v.LogBurst = seconds(rate.Per, 0), fixed(strconv.Itoa(rate.Lines))
	}
	r.restarts(&v)
	if r.target.Sizing.Follow {
		v.Follow = ">=%i"
		v.Extra = fixed(ExtraMarks + "/" + string(a.Name) + "@%i")
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

// variables fills in where the environment of an instance comes from.
func (r *renderer) variables(v *instanceView) {
	a := r.app
	if !a.launched() {
		// The shim sets it, and NODE_APP_INSTANCE, for those that it starts.
		v.Env = append(v.Env, fixed(`"INSTANCE=%i"`))
	}
	switch {
	case len(a.Env) > 0 && r.target.Values != "":
		// Before the files of the user, whose values win.
		v.EnvFiles = append(v.EnvFiles, r.must(globPath("env", r.target.Values)))
	default:
		for _, e := range a.Env {
			v.Env = append(v.Env, r.must(word("env."+e.Name, e.Name+"="+e.Value)))
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
		p := r.must(globPath("env-file", f.Path))
		if f.Optional {
			p = "-" + p
		}
		v.EnvFiles = append(v.EnvFiles, p)
	}
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
		v.NoRestart = unmendable
	}
	if r.app.Restart == RestartNo {
		return
	}
	if !r.app.drained() {
		// The drain notes it by the way. Without either, a worker that ends with 0 on SIGTERM looks like one that just ends.
		v.Noted = fixed("-+:" + r.target.shim() + " stopping " + r.stateWord())
	}
	v.Stopped = fixed("-+:" + r.stoppedWords())
	v.Delay = "10ms"
	if r.target.Systemd >= delayGrows {
		v.Delay, v.LongestDelay = "100us", v.Delay
	}
	v.RuntimeDirectory = fixed(r.runtimeDirectory())
	if !r.app.launched() {
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

type sandboxView struct {
	Home, Tmp       value
	Capabilities    value
	UMask           value
	Writable        []value
	ReadOnly        value
	Pinned          value
	Seccomp, Strict value
}

// disconnectedTmp is the first systemd with PrivateTmp=disconnected, a tmpfs that goes with the unit. With "yes" there is
// a directory to remove at the end, for which PID 1 forks from 254 on; for a moment the child holds the listening socket
// too, and the restart of an app could not bind it again (measured on 257: up to one restart in three, on a busy machine).
const disconnectedTmp = 257

// umaskIsTheProgramsAlone is the first systemd that does not apply UMask= to what it makes itself in the unit's mount
// namespace. Before, the directories above a dynamic user's RuntimeDirectory= became root's alone, and the backoff could
// not write its state (seen on 247; core/namespace.c, mended in 250).
const umaskIsTheProgramsAlone = 250

// sandbox hides /home unless the program or its directory is there, as with a version manager's node.
func (r *renderer) sandbox() sandboxView {
	a := r.app
	v := sandboxView{Home: "yes", Tmp: "yes", UMask: "0027", Capabilities: a.capabilities()}
	if r.target.Systemd < umaskIsTheProgramsAlone && a.RunAs.Dynamic() {
		v.UMask = "0022"
	}
	if r.target.Systemd >= disconnectedTmp {
		v.Tmp = "disconnected"
	}
	paths := append([]string{a.Directory}, a.Command...)
	paths = append(paths, a.Writable...)
	paths = append(paths, a.workerEnvFiles()...)
	if slices.ContainsFunc(paths, inHome) {
		v.Home = "read-only"
	}
	if a.Adopted() {
		v.Seccomp = "seccomp"
	}
	writable := slices.Clone(a.Writable)
	if a.Sandbox == SandboxStrict {
		v.Strict = "yes"
	} else if a.Directory != "" && path.Clean(a.Directory) != "/" && !a.RunAs.Dynamic() && !slices.Contains(writable, a.Directory) {
		// What the workers' own user may write in the app's directory stays writable, as programs expect.
		writable = append([]string{a.Directory}, writable...)
	}
	for _, p := range writable {
		v.Writable = append(v.Writable, r.must(pathWord("writable", p)))
	}
	readOnly, pinned := a.protect(writable)
	v.ReadOnly, v.Pinned = r.optionalPaths(readOnly), r.optionalPaths(pinned)
	return v
}

func inHome(p string) bool {
	p = path.Clean(p) + "/"
	return strings.HasPrefix(p, "/home/") || strings.HasPrefix(p, "/root/") || strings.HasPrefix(p, "/run/user/")
}
