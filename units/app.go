package units

import (
	"slices"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// App is what the user installs: one program, run as N instances behind shared listeners.
type App struct {
	Name Name
	// Command is the program's argv. Command[0] is an absolute path (systemd.service(5), ExecStart=).
	Command []string
	// Directory is the absolute WorkingDirectory=; empty means systemd's default, "/".
	Directory string
	RunAs     RunAs
	Instances Count
	// Listen are the shared listeners; none makes a background app without a socket.
	Listen []Listener
	// Socket is who may connect to the Unix listeners.
	Socket SocketAccess
	// SocketOptions are further options of the shared listeners.
	SocketOptions []SocketOption
	Activation    Activation
	Ready         Ready
	Env           []EnvVar
	// EnvFiles are absolute paths of files of variables, read at each start. Files that the shim reads come last.
	EnvFiles []EnvFile
	// Trust are users, beside root, who may write what root and PID 1 read for the app, such as its environment files.
	Trust []string
	// SecretEnv are names of secrets that the shim puts into variables of the same name.
	SecretEnv []string
	Restart   Restart
	Sandbox   Sandbox
	// Writable are absolute paths that a sandboxed worker may write to (systemd.exec(5), ReadWritePaths=).
	Writable []string
	// Reads are absolute paths, in a home or behind a link into one, that a sandboxed worker sees. The homes are empty
	// otherwise. A path that is also the directory or writable may be written to.
	Reads []string
	// Allow are the parts of the sandbox that the app does without.
	Allow    []Allowance
	Timeouts Timeouts
	// Surge is how many extra instances a rolling reload starts first.
	Surge int
	Shim  ShimOptions
	Logs  Logs
}

// Sockets names the socket units of the app, that of the first listener first, one per FileDescriptorName=.
func (a App) Sockets() []string {
	var names []string
	for _, l := range a.Listen {
		unit := a.SocketUnit(l)
		if !slices.Contains(names, unit) {
			names = append(names, unit)
		}
	}
	return names
}

// SocketUnit returns the name of the socket unit of a listener of the app.
func (a App) SocketUnit(l Listener) string { return a.Name.Socket(a.Listen[0].FDName(), l.FDName()) }

// RunAs is the identity of the workers.
type RunAs struct {
	// User and Group are names or numeric ids (User=, Group=). An empty User asks for a dynamic user.
	User, Group string
}

// Dynamic says whether systemd is to make up a user that exists only while the app runs (DynamicUser=, since 235).
func (r RunAs) Dynamic() bool { return r.User == "" }

// String gives the form that --run-as reads.
func (r RunAs) String() string {
	switch {
	case r.Dynamic():
		return "dynamic"
	case r.Group != "":
		return r.User + ":" + r.Group
	}
	return r.User
}

// EnvVar is one variable; Value may hold any UTF-8 but NUL.
type EnvVar struct {
	Name, Value string
	// Hidden: the value is unknown, because it is in a file that only root may read.
	Hidden bool
}

// EnvFile is one file of variables.
type EnvFile struct {
	Path string
	// Optional: no error when the file is missing (the prefix "-").
	Optional bool
	// ByWorker: the shim reads the file as the workers' user, because others than root may replace it. Otherwise PID 1 reads
	// it as root (EnvironmentFile=).
	ByWorker bool
}

// Timeouts bound the life of an instance; zero means the default in package contract.
type Timeouts struct {
	// Start is TimeoutStartSec= of an instance: from exec to READY=1.
	Start time.Duration
	// Drain is how long a stopping worker may go on answering, before its stop signal.
	Drain time.Duration
	// Stop is the time from the stop signal to SIGKILL.
	Stop time.Duration
}

const (
	// stopMargin is what the drain may take beyond its own timeout before systemd ends it.
	stopMargin = contract.DrainSlack + 4*time.Second
	// guardMargin is how long after systemd the guard of the shim kills.
	guardMargin = 2 * time.Second
)

// ShimOptions are passed to clusterctl-shim; they matter only to apps that it starts.
type ShimOptions struct {
	// Increment names variables that grow by one per instance: PORT=3000 gives 3000, 3001, …
	Increment []EnvVar
	// Pin gives each instance one CPU.
	Pin bool
	// MaxRestarts gives up after that many short runs; 0 never gives up.
	MaxRestarts int
	// MinUptime is the length of a run that counts as good and resets the backoff; 0 means [contract.MinUptime].
	MinUptime time.Duration
	// NoNodePreload leaves NODE_OPTIONS alone.
	NoNodePreload bool
	// HoldAccept has the notifier answer accept(2), for programs that wait without epoll.
	HoldAccept bool
	// OwnPtrace gives the shim CAP_SYS_PTRACE, and keeps it from the program: to read forked children under Yama.
	OwnPtrace bool
	// NoDrain leaves the drain before a stop to the program, which does it on SIGTERM as activation.Serve does.
	NoDrain bool
	// Blocking leaves the shared sockets blocking (NonBlocking=no everywhere), for programs that wait in accept(2).
	Blocking bool
}

// Activation is how a worker comes by its listeners.
type Activation int

const (
	// Adopt: the worker binds by itself and the shim answers with the shared listener. The zero value.
	Adopt Activation = iota
	// Native: the worker takes the inherited listener itself (sd_listen_fds(3), LISTEN_FDS).
	Native
)

// Ready is what makes an instance count as started.
type Ready int

const (
	// ReadyExec: the program has been executed (Type=exec, since 240). The zero value.
	ReadyExec Ready = iota
	// ReadyNotify: the program, or the shim for it, said READY=1 (Type=notify).
	ReadyNotify
)

// Restart is what systemd does when a worker ends (systemd.service(5), Restart=).
type Restart int

const (
	// RestartAlways: whatever it exits with. The zero value.
	RestartAlways Restart = iota
	// RestartOnFailure: exit status 0 means done.
	RestartOnFailure
	// RestartNo: never.
	RestartNo
)

// Sandbox is how much of the machine a worker sees (systemd.exec(5), "Sandboxing").
type Sandbox int

const (
	// SandboxDefault is safe for Node, Python, Go, Ruby and PHP. The zero value.
	SandboxDefault Sandbox = iota
	// SandboxStrict hides more of /proc, of users and of /home.
	SandboxStrict
	// SandboxOff adds nothing.
	SandboxOff
)

// names of the enumerations, in the order of their constants; the config file and the flags use the same words.
var (
	activationNames = []string{"adopt", "native"}
	readyNames      = []string{"exec", "notify"}
	restartNames    = []string{"always", "on-failure", "no"}
	sandboxNames    = []string{"default", "strict", "off"}
)

func (a Activation) String() string { return activationNames[a] }
func (r Ready) String() string      { return readyNames[r] }
func (r Restart) String() string    { return restartNames[r] }
func (s Sandbox) String() string    { return sandboxNames[s] }

// ActivationValues returns the words of Activation, the default first.
func ActivationValues() []string { return slices.Clone(activationNames) }

// ReadyValues returns the words of Ready.
func ReadyValues() []string { return slices.Clone(readyNames) }

// RestartValues returns the words of Restart, the default first.
func RestartValues() []string { return slices.Clone(restartNames) }

// SandboxValues returns the words of Sandbox, the default first.
func SandboxValues() []string { return slices.Clone(sandboxNames) }

// ParseActivation reads "adopt" or "native".
func ParseActivation(s string) (Activation, error) {
	return parseEnum[Activation]("activation", s, activationNames)
}

// ParseReady reads "exec" or "notify".
func ParseReady(s string) (Ready, error) { return parseEnum[Ready]("ready", s, readyNames) }

// ParseRestart reads "always", "on-failure" or "no".
func ParseRestart(s string) (Restart, error) { return parseEnum[Restart]("restart", s, restartNames) }

// ParseSandbox reads "default", "strict" or "off".
func ParseSandbox(s string) (Sandbox, error) { return parseEnum[Sandbox]("sandbox", s, sandboxNames) }
