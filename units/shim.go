package units

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// shimDirectory contains the shim and its files.
const shimDirectory = "/usr/lib/clusterctl"

// These are the files in shimDirectory.
const (
	DefaultShim = shimDirectory + "/clusterctl-shim"
	// DefaultNodePreload is the path of a script that makes an unmodified Node server end its keep-alive connections while
	// it drains.
	DefaultNodePreload = shimDirectory + "/clusterctl-node-preload.cjs"
)

// The method Adopted reports whether the shim substitutes the shared listeners when the program binds.
func (a App) Adopted() bool { return a.Activation == Adopt && len(a.Listen) > 0 }

// NeedsShim reports whether ExecStart= runs clusterctl-shim, so the app cannot start without the shim. The shim adopts the
// program, or does something for which systemd has no setting.
func (a App) NeedsShim() bool {
	return a.Adopted() || a.isConfined() || a.Shim.Pin || a.Shim.MaxRestarts > 0 || len(a.Shim.Increment) > 0 ||
		len(a.workerEnvFiles()) > 0 || len(a.SecretEnv) > 0
}

// shimWords returns the beginning of ExecStart=, up to the "--" before the program.
func (r *renderer) shimWords() []string {
	a := r.app
	words := []string{r.target.shim(), "run"}
	if a.Adopted() {
		words = append(words, "--adopt")
		words = append(words, r.mapWords()...)
		if a.Shim.HoldAccept {
			words = append(words, "--accept=hold")
		}
		if a.Shim.OwnPtrace {
			words = append(words, "--own-ptrace")
		}
		if !a.Shim.NoNodePreload && usesNode(a.Command) {
			words = append(words, "--node-preload="+r.target.nodePreload())
		}
	}
	words = append(words, r.programWords("%i")...)
	if a.Shim.Pin {
		words = append(words, "--pin")
	}
	words = append(words, r.stateWord())
	if a.launcherWaits() {
		words = append(words, "--backoff")
	}
	return append(append(words, a.maxRestartsWords()...), "--")
}

// launcherWaits reports whether the launcher (the shim in ExecStart=) waits after short runs. For other apps, a command in
// ExecStartPre= waits, which costs one more process per start. The command also waits for apps with a restart limit: it runs
// as root, and only root can record that the limit was reached.
func (a App) launcherWaits() bool {
	return a.Adopted() && a.Shim.MaxRestarts == 0 && a.Restart != RestartNo
}

func (a App) maxRestartsWords() []string {
	if a.Shim.MaxRestarts == 0 {
		return nil
	}
	return []string{"--max-restarts=" + strconv.Itoa(a.Shim.MaxRestarts)}
}

// workerEnvFiles returns the paths of the environment files that the shim reads.
func (a App) workerEnvFiles() []string {
	var paths []string
	for _, f := range a.EnvFiles {
		if f.ByWorker {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

// singleLineComments is the first systemd in which a backslash at the end of a comment in an EnvironmentFile= does not
// continue the comment on the next line.
const singleLineComments = 254

// envFileWords returns the flags for the environment files that the shim reads. Variables in these files override variables
// from EnvironmentFile=.
func (r *renderer) envFileWords() []string {
	var words []string
	for _, f := range r.app.EnvFiles {
		if !f.ByWorker {
			continue
		}
		p := f.Path
		if f.Optional {
			p = "-" + p
		}
		words = append(words, string(r.must(word("worker-env-files", "--env-file="+p))))
	}
	if len(words) > 0 && r.target.Systemd < singleLineComments {
		words = append(words, "--env-comments-continue")
	}
	return words
}

// programWords returns the flags that a run and a probe of the program have in common.
func (r *renderer) programWords(instance string) []string {
	var words []string
	if r.app.isConfined() {
		words = append(words, "--confine")
	}
	words = append(append(words, "--instance="+instance), r.envFileWords()...)
	for _, e := range r.app.Shim.Increment {
		words = append(words, "--increment="+e.Name)
	}
	for _, name := range r.app.SecretEnv {
		words = append(words, "--secret-env="+name)
	}
	return words
}

// isDrained reports whether the shim drains a worker before its stop signal.
func (a App) isDrained() bool { return len(a.Listen) > 0 && !a.Shim.NoDrain }

// bindKind returns the kind of bind for which the shim substitutes a listener, or 0 if the bind has the same IP version and
// port as the listener. A listener with an address is used for both IP versions, so a program that binds [::] can serve on
// an IPv4 socket.
func (r *renderer) bindKind(l Listener) contract.Kind {
	either, four, six := contract.TCP, contract.TCP4, contract.TCP6
	if l.Network == UDP {
		either, four, six = contract.UDP, contract.UDP4, contract.UDP6
	}
	paired := l.Network != Unix && l.hasPair(r.app.Listen)
	switch {
	case paired && l.Bind == 0:
		return 0
	case paired && l.Host.Is4():
		return four
	case paired:
		return six
	case l.Bind != 0, l.Network != Unix && l.Host.IsValid():
		return either
	}
	return 0
}

// mapWords returns a --map flag for each listener that replaces a bind with another IP version or port. In NAME/K=KIND:PORT,
// K is the number of the listener among the listeners with this name, from 0. PID 1 passes the sockets of a unit in the
// order of its lines, in which datagrams come after streams.
func (r *renderer) mapWords() []string {
	var words []string
	seen := map[string]int{}
	isUDP := func(l Listener) bool { return l.Network == UDP }
	isStream := func(l Listener) bool { return l.Network != UDP }
	streams := slices.DeleteFunc(slices.Clone(r.app.Listen), isUDP)
	datagrams := slices.DeleteFunc(slices.Clone(r.app.Listen), isStream)
	for _, l := range append(streams, datagrams...) {
		k := seen[l.FDName()]
		seen[l.FDName()]++
		if kind := r.bindKind(l); kind != 0 {
			m := contract.Map{Key: contract.NthKey(l.FDName(), k), Bind: contract.Bind{Kind: kind, Port: l.ProgramPort()}}
			words = append(words, contract.MapFlag+m.String())
		}
	}
	return words
}

// The method capabilities returns the capability that the unit gives to the shim, or "". If the shim has a capability,
// ExecStart= contains --own-ptrace, with which the shim drops the capability before it starts the program.
func (a App) capabilities() value {
	if a.Adopted() && a.Shim.OwnPtrace {
		return "CAP_SYS_PTRACE"
	}
	return ""
}

func (a App) minUptimeWords() []string {
	if a.Shim.MinUptime == 0 {
		return nil
	}
	return []string{"--min-uptime=" + a.Shim.MinUptime.String()}
}

// drainWords returns the ExecStop= command of an app with listeners, native or adopted.
func (r *renderer) drainWords() string {
	words := []string{r.target.shim(), "drain"}
	if r.app.Restart != RestartNo {
		words = append(words, r.stateWord())
	}
	words = append(words, r.guardWords()...)
	words = append(words, r.relistenWords()...)
	words = append(words, "--drain-timeout="+string(seconds(r.app.Timeouts.Drain, contract.DrainTimeout)))
	if r.app.Shim.HoldAccept {
		words = append(words, "--drain=accept")
	}
	return strings.Join(words, " ")
}

// stoppedWords returns the ExecStopPost= command, which records how the run ended. The command runs as root, because it
// stops the app when the last instance gives up.
func (r *renderer) stoppedWords() string {
	words := append([]string{r.target.shim(), "stopped", r.stateWord()}, r.app.minUptimeWords()...)
	words = append(append(words, "--exec-stop"), r.relistenWords()...)
	if r.app.Shim.MaxRestarts > 0 {
		words = append(words, "--last-stops="+r.app.Name.Service())
	}
	return strings.Join(words, " ")
}

// backoffWords returns the ExecStartPre= command that waits after short runs, for apps whose launcher does not wait. The
// command runs as root with the environment of the app. The command is not a shell, because the dynamic linker of a shell
// would obey variables of the app, such as LD_PRELOAD. The shim is linked statically.
func (r *renderer) backoffWords() string {
	words := append([]string{r.target.shim(), "wait", r.stateWord()}, r.app.minUptimeWords()...)
	words = append(words, r.relistenWords()...)
	words = append(words, r.app.maxRestartsWords()...)
	if start := r.app.Timeouts.Start; start > 0 && start < 2*contract.MaxDelay {
		// The wait must end before the start timeout, so its maximum is half of that timeout.
		words = append(words, "--max-delay="+string(seconds(start/2, 0)))
	}
	return strings.Join(words, " ")
}

// stateWord returns the flag with the path of the instance's state files, without their suffix. Root owns the directory of
// these files. If the user of the app owned a directory in /run, the user could fill /run.
func (r *renderer) stateWord() string {
	return "--state=" + path.Join(contract.RunDirectory, contract.State(string(r.app.Name), "%i"))
}

// relistenWords returns the flags for the TCP listeners of a native app. A native worker may shut down the shared listener
// (shutdown(2)) when it stops. So the commands that run as root before and after the worker call listen(2) again.
func (r *renderer) relistenWords() []string {
	if r.app.Adopted() {
		return nil
	}
	var words []string
	for _, l := range r.app.Listen {
		if l.Network == TCP {
			words = append(words, "--relisten="+l.Address())
		}
	}
	return words
}

// usesNode reports whether the command is Node or may start Node. Only Node reads NODE_OPTIONS.
func usesNode(command []string) bool {
	switch path.Base(command[0]) {
	case "node", "nodejs", "npm", "npx", "yarn", "pnpm", "tsx", "ts-node":
		return true
	case "sh", "bash", "dash":
		return len(command) > 2 && command[1] == "-c"
	}
	return strings.Contains(command[0], "/node_modules/.bin/")
}

func (t Target) shim() string { return cmp.Or(t.Shim, DefaultShim) }

func (t Target) nodePreload() string {
	return path.Join(path.Dir(t.shim()), path.Base(DefaultNodePreload))
}
