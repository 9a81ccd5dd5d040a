package units

import (
	"path"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// shimDirectory is where the shim and what belongs to it is installed.
const shimDirectory = "/usr/lib/clusterctl"

// The files of that directory.
const (
	DefaultShim = shimDirectory + "/clusterctl-shim"
	// DefaultNodePreload lets an unmodified Node server end its keep-alive connections while it drains.
	DefaultNodePreload = shimDirectory + "/clusterctl-node-preload.cjs"
)

// Adopted says whether the shim answers the program's binds.
func (a App) Adopted() bool { return a.Activation == Adopt && len(a.Listen) > 0 }

// launched says whether the shim stands in ExecStart=: to adopt, or for what systemd has no setting.
func (a App) launched() bool {
	return a.Adopted() || a.confined() || a.Shim.Pin || a.Shim.MaxRestarts > 0 || len(a.Shim.Increment) > 0 ||
		len(a.workerEnvFiles()) > 0 || len(a.SecretEnv) > 0
}

// shimWords is the shim's part of ExecStart=, up to the "--" in front of the program.
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
	if a.confined() {
		words = append(words, "--confine")
	}
	words = append(words, "--instance=%i")
	words = append(words, r.envFileWords()...)
	for _, e := range a.Shim.Increment {
		words = append(words, "--increment="+e.Name)
	}
	words = append(words, a.secretWords()...)
	if a.Shim.Pin {
		words = append(words, "--pin")
	}
	words = append(words, r.stateWord())
	if a.waits() {
		words = append(words, "--backoff")
	}
	return append(append(words, a.maxRestartsWords()...), "--")
}

// waits says whether the launcher of an adopted program waits after short runs, which spares each start a process. Other
// apps have ExecStartPre= for it. So has an app that may give up: root must note that.
func (a App) waits() bool { return a.Adopted() && a.Shim.MaxRestarts == 0 && a.Restart != RestartNo }

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

// commentsEnd is the first systemd in which a backslash at the end of a comment does not continue it in the next line of an
// EnvironmentFile=.
const commentsEnd = 254

// envFileWords returns the flags for files that the shim reads. A variable of such a file replaces one of EnvironmentFile=.
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
	if len(words) > 0 && r.target.Systemd < commentsEnd {
		words = append(words, "--env-comments-continue")
	}
	return words
}

// secretWords name the secrets that the shim puts into variables.
func (a App) secretWords() []string {
	var words []string
	for _, name := range a.SecretEnv {
		words = append(words, "--secret-env="+name)
	}
	return words
}

// drained says whether the shim empties a worker before it is stopped.
func (a App) drained() bool { return len(a.Listen) > 0 && !a.Shim.NoDrain }

// bindKind is the kind of the program's bind that a listener answers, or 0 where it is the listener's own family and
// port. An address that was asked for answers either family: a program that binds [::] also serves on an IPv4 socket.
func (r *renderer) bindKind(l Listener) contract.Kind {
	either, four, six := contract.TCP, contract.TCP4, contract.TCP6
	if l.Network == UDP {
		either, four, six = contract.UDP, contract.UDP4, contract.UDP6
	}
	paired := l.Network != Unix && l.paired(r.app.Listen)
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

// mapWords names the bind that a listener answers, where it is not its own: NAME/K=KIND:PORT, K-th of that name from 0. PID
// 1 passes the sockets of a unit in the order of its lines, where datagrams come after streams.
func (r *renderer) mapWords() []string {
	var words []string
	seen := map[string]int{}
	var streams, datagrams []Listener
	for _, l := range r.app.Listen {
		if l.Network == UDP {
			datagrams = append(datagrams, l)
		} else {
			streams = append(streams, l)
		}
	}
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

// capabilities returns the capability that the shim has for itself. The unit has it only together with --own-ptrace in
// ExecStart=, which keeps it from the program.
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

// drainWords is ExecStop= of an app with listeners, native or adopted.
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

// stoppedWords is ExecStopPost=, which tells the backoff how the run ended. The last instance to give up stops the app,
// which takes root.
func (r *renderer) stoppedWords() string {
	words := append([]string{r.target.shim(), "stopped", r.stateWord()}, r.app.minUptimeWords()...)
	words = append(append(words, "--exec-stop"), r.relistenWords()...)
	if r.app.Shim.MaxRestarts > 0 {
		words = append(words, "--last-stops="+r.app.Name.Service())
	}
	return strings.Join(words, " ")
}

// backoffWords is ExecStartPre= where the launcher does not wait itself. No shell, which as root would obey what the app's
// environment says to the dynamic linker; the shim is static.
func (r *renderer) backoffWords() string {
	words := append([]string{r.target.shim(), "wait", r.stateWord()}, r.app.minUptimeWords()...)
	words = append(words, r.relistenWords()...)
	words = append(words, r.app.maxRestartsWords()...)
	if start := r.app.Timeouts.Start; start > 0 && start < 2*contract.MaxDelay {
		// Half of the time to start: the wait itself must not run into the timeout.
		words = append(words, "--max-delay="+string(seconds(start/2, 0)))
	}
	return strings.Join(words, " ")
}

// stateWord names the instance to the shim. What root remembers of it lies beside that path: no directory there belongs to
// the instance's user, who could fill /run.
func (r *renderer) stateWord() string {
	return "--state=" + path.Join(contract.RunDirectory, contract.State(string(r.app.Name), "%i"))
}

// relistenWords name the TCP listeners of a native app. A native worker that stops may shut the shared listener down
// (shutdown(2)), and no notifier keeps it from that; so the commands around the worker, which run as root, listen again.
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

// usesNode says whether the command is, or may start, Node: only Node reads NODE_OPTIONS.
func usesNode(command []string) bool {
	switch path.Base(command[0]) {
	case "node", "nodejs", "npm", "npx", "yarn", "pnpm", "tsx", "ts-node":
		return true
	case "sh", "bash", "dash":
		return len(command) > 2 && command[1] == "-c"
	}
	return strings.Contains(command[0], "/node_modules/.bin/")
}

func (t Target) shim() string {
	if t.Shim == "" {
		return DefaultShim
	}
	return t.Shim
}

func (t Target) nodePreload() string {
	return path.Join(path.Dir(t.shim()), path.Base(DefaultNodePreload))
}

// NeedsShim says whether the app cannot run without clusterctl-shim, because it stands in ExecStart=.
func (a App) NeedsShim() bool { return a.launched() }
