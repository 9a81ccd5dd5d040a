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
	// Directory is WorkingDirectory=, an absolute path. Empty means systemd's default, "/".
	Directory string
	RunAs     RunAs
	Instances Count
	// The field Listen contains the shared listeners. An app without listeners runs in the background and has no socket
	// unit.
	Listen []Listener
	// Socket holds the owner and the mode of the Unix listeners.
	Socket SocketAccess
	// SocketOptions contains more options of the shared listeners.
	SocketOptions []SocketOption
	Activation    Activation
	Ready         Ready
	Env           []EnvVar
	// EnvFiles contains the files with environment variables, which are read at each start. Files with ByWorker come last.
	EnvFiles []EnvFile
	// The field Trust contains the users, besides root, who may write to files that root reads for the app, such as
	// environment files.
	Trust []string
	// SecretEnv contains the names of secrets that the shim puts into environment variables of the same name.
	SecretEnv []string
	Restart   Restart
	Sandbox   Sandbox
	// Writable contains absolute paths that a sandboxed worker may write to (systemd.exec(5), ReadWritePaths=).
	Writable []string
	// The field Reads contains absolute paths in a home directory, or symbolic links into a home directory. The sandbox
	// hides all home directories except these paths. A worker may write to a path in Reads only if the path is also in
	// Writable or equal to Directory.
	Reads []string
	// The field Allow contains the parts of the sandbox that are switched off for the app.
	Allow    []Allowance
	Timeouts Timeouts
	// Surge is the number of extra instances that a rolling reload starts first.
	Surge int
	Shim  ShimOptions
	Logs  Logs
}

// Sockets returns the names of the socket units of the app, one for each FileDescriptorName=. The unit of the first listener
// comes first.
func (a App) Sockets() []string {
	var names []string
	for _, l := range a.Listen {
		if unit := a.SocketUnit(l); !slices.Contains(names, unit) {
			names = append(names, unit)
		}
	}
	return names
}

// SocketUnit returns the name of the socket unit of a listener of the app.
func (a App) SocketUnit(l Listener) string { return a.Name.Socket(a.Listen[0].FDName(), l.FDName()) }

// RunAs is the identity of the workers.
type RunAs struct {
	// User and Group are names or numeric ids (User=, Group=). An empty User means a dynamic user.
	User, Group string
}

// The method Dynamic reports whether systemd allocates a user that exists only while the app runs (DynamicUser=, since 235).
func (r RunAs) Dynamic() bool { return r.User == "" }

// String returns the form that --run-as accepts.
func (r RunAs) String() string {
	switch {
	case r.Dynamic():
		return "dynamic"
	case r.Group != "":
		return r.User + ":" + r.Group
	}
	return r.User
}

// EnvVar is an environment variable. Value may be any UTF-8 text without NUL.
type EnvVar struct {
	Name, Value string
	// The field Hidden means that the value is unknown, because it is in a file that only root may read.
	Hidden bool
}

// EnvFile is a file of environment variables.
type EnvFile struct {
	Path string
	// The field Optional means that a missing file is not an error (the prefix "-").
	Optional bool
	// The field ByWorker means that the shim reads the file as the workers' user, because users other than root may replace
	// the file. Otherwise PID 1 reads the file as root (EnvironmentFile=).
	ByWorker bool
}

// Timeouts limit how long an instance may take to start, drain and stop. Zero means the default in package contract.
type Timeouts struct {
	// The field Start is TimeoutStartSec=, the time from exec to READY=1.
	Start time.Duration
	// The field Drain is the time limit for a stopping worker to answer its open requests. Then the worker gets its stop
	// signal.
	Drain time.Duration
	// The field Stop is the time from the stop signal to SIGKILL.
	Stop time.Duration
}

const (
	// stopMargin is added to the drain timeout. The sum is the time after which systemd ends a drain.
	stopMargin = contract.DrainSlack + 4*time.Second
	// guardMargin is the time between systemd's stop timeout and the SIGKILL from the shim (see guardWords).
	guardMargin = 2 * time.Second
)

// ShimOptions are options of clusterctl-shim. The options are used only for apps that the shim starts.
type ShimOptions struct {
	// The field Increment contains the variables whose value grows by one per instance: PORT=3000 becomes 3000, 3001, and so
	// on.
	Increment []EnvVar
	// The field Pin means that the shim binds each instance to one CPU.
	Pin bool
	// MaxRestarts is the number of consecutive short runs after which the instance is not restarted; 0 means no limit.
	MaxRestarts int
	// MinUptime is the minimum duration of a normal run. Shorter runs count as crashes, which delay the next start. 0 means
	// [contract.MinUptime].
	MinUptime time.Duration
	// NoNodePreload means that the shim leaves NODE_OPTIONS unchanged.
	NoNodePreload bool
	// HoldAccept means that the shim intercepts accept(2) (seccomp_unotify(2)), for programs that wait for connections
	// without epoll.
	HoldAccept bool
	// OwnPtrace means that the unit gives the shim CAP_SYS_PTRACE, which Yama requires for reading the memory of forked
	// children. The program does not get the capability.
	OwnPtrace bool
	// NoDrain means that the shim does not drain the program, because the program drains itself on SIGTERM
	// (activation.Serve).
	NoDrain bool
	// The field Blocking means that the shared sockets stay in blocking mode (NonBlocking=no in all units), for programs
	// that wait in accept(2).
	Blocking bool
}

// Activation is the way in which a worker gets its listeners.
type Activation int

const (
	// Adopt, the zero value, means that the worker binds a port itself, and the shim replaces the worker's socket with the
	// shared listener.
	Adopt Activation = iota
	// Native means that the worker uses the inherited listener (sd_listen_fds(3), LISTEN_FDS).
	Native
)

// The type Ready is the event after which an instance counts as started.
type Ready int

const (
	// ReadyExec, the zero value, means that the program has been executed (Type=exec, since 240).
	ReadyExec Ready = iota
	// ReadyNotify means that the program, or the shim on its behalf, has sent READY=1 (Type=notify).
	ReadyNotify
)

// The type Restart selects when systemd restarts a worker that has ended (systemd.service(5), Restart=).
type Restart int

const (
	// RestartAlways, the zero value, restarts the worker after every exit.
	RestartAlways Restart = iota
	// RestartOnFailure restarts the worker unless the exit status is 0.
	RestartOnFailure
	// RestartNo never restarts the worker.
	RestartNo
)

// Sandbox is the degree of isolation of a worker (systemd.exec(5), "Sandboxing").
type Sandbox int

const (
	// SandboxDefault, the zero value, is a sandbox in which programs in Node, Python, Go, Ruby and PHP run.
	SandboxDefault Sandbox = iota
	// SandboxStrict also hides most of /proc, and the app's directory is read-only.
	SandboxStrict
	// SandboxOff means that the units have no sandbox.
	SandboxOff
)

// These slices contain the words for the constants in the config file and in flags, in the order of the constants.
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

// ActivationValues returns the words that [ParseActivation] accepts, starting with the default.
func ActivationValues() []string { return slices.Clone(activationNames) }

// ReadyValues returns the words that [ParseReady] accepts.
func ReadyValues() []string { return slices.Clone(readyNames) }

// RestartValues returns the words that [ParseRestart] accepts, starting with the default.
func RestartValues() []string { return slices.Clone(restartNames) }

// SandboxValues returns the words that [ParseSandbox] accepts, starting with the default.
func SandboxValues() []string { return slices.Clone(sandboxNames) }

// ParseActivation parses "adopt" or "native".
func ParseActivation(s string) (Activation, error) {
	return parseEnum[Activation]("activation", s, activationNames)
}

// ParseReady parses "exec" or "notify".
func ParseReady(s string) (Ready, error) { return parseEnum[Ready]("ready", s, readyNames) }

// ParseRestart parses "always", "on-failure" or "no".
func ParseRestart(s string) (Restart, error) { return parseEnum[Restart]("restart", s, restartNames) }

// ParseSandbox parses "default", "strict" or "off".
func ParseSandbox(s string) (Sandbox, error) { return parseEnum[Sandbox]("sandbox", s, sandboxNames) }
