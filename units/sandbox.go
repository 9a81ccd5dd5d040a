package units

import (
	"path"
	"slices"
	"strings"
)

type sandboxView struct {
	Capabilities     value
	Home, Tmp, UMask value
	Users, IPC, Shm  value
	Closed           value
	Namespaces       value
	Tunables         value
	Writable         []value
	Binds, Reads     []value
	Hidden           []value
	ReadOnly, Pinned value
	Syscalls, Denied value
	Seccomp, Strict  value
	Landlock         value
}

// disconnectedTmp is the first systemd with PrivateTmp=disconnected, a tmpfs that disappears with the unit. With "yes", PID
// 1 must remove a directory when the unit stops. From 254 on, PID 1 forks a child to remove the directory. The child has a
// copy of the listening socket for a moment, so a restart of the app can fail to bind the socket (measured on 257: up to one
// restart in three on a busy machine).
const disconnectedTmp = 257

// umaskForProgramOnly is the first systemd that does not apply UMask= to directories that systemd itself creates in the
// unit's mount namespace. Earlier versions make the directories above a bound path accessible only to root (seen on 247;
// core/namespace.c, fixed in 250).
const umaskForProgramOnly = 250

// privateIPC is the first systemd with PrivateIPC=.
const privateIPC = 248

// knowsLandlock is the first systemd whose builds all have a libseccomp that knows the Landlock system calls. If
// SystemCallFilter= contains an unknown name, systemd logs a warning each time it loads the unit.
const knowsLandlock = 252

func (r *renderer) sandbox() sandboxView {
	a := r.app
	v := sandboxView{Tmp: "yes", UMask: "0027", Capabilities: a.capabilities()}
	if r.target.Systemd >= disconnectedTmp {
		v.Tmp = "disconnected"
	}
	if a.Adopted() {
		v.Seccomp = "seccomp pidfd_getfd"
	}
	if a.isConfined() && r.target.Systemd >= knowsLandlock {
		v.Landlock = "landlock_create_ruleset landlock_restrict_self"
	}
	if a.Sandbox == SandboxStrict {
		v.Strict = "pid"
	}
	r.loosen(&v)
	r.visible(&v, a.WritableTrees())
	readOnly, pinned := a.protect(a.WritableTrees())
	v.ReadOnly, v.Pinned = r.optionalPaths(readOnly), r.optionalPaths(pinned)
	if r.target.Systemd < umaskForProgramOnly && v.Home == "tmpfs" {
		v.UMask = "0022"
	}
	return v
}

// The method loosen removes the parts of the sandbox that --allow switches off.
func (r *renderer) loosen(v *sandboxView) {
	a := r.app
	v.Denied = "io_uring_setup io_uring_enter io_uring_register"
	if a.allows(AllowIOUring) {
		v.Denied = ""
	}
	v.Namespaces = "yes"
	var groups []string
	if a.allows(AllowNamespaces) {
		v.Namespaces = ""
		groups = append(groups, "@mount")
	}
	if a.allows(AllowPtrace) {
		groups = append(groups, "@debug")
	}
	v.Syscalls = fixed(strings.Join(groups, " "))
	if !a.allows(AllowUsers) {
		v.Users = "yes"
	}
	if a.RunAs.root() || a.Sandbox == SandboxStrict {
		v.Tunables = "yes"
	}
	if !a.allows(AllowSharedMemory) {
		v.Shm = "/dev/shm"
		if r.target.Systemd >= privateIPC {
			v.IPC = "yes"
		}
	}
	if !a.allows(AllowSockets) {
		v.Closed = fixed(strings.Join(closedPaths(a.RunAs), " "))
	}
}

// closedPaths returns paths that workers could use to escape from the sandbox: sockets of daemons that obey root or a group
// such as docker. For workers that run as root, the function also returns files that only root can read. closedPaths omits
// paths that the workers' user cannot access, because each path makes a start up to a millisecond slower. With the prefix
// "-", systemd ignores a missing path. An empty /run would hide all sockets at once, but TemporaryFileSystem= also applies
// to commands with "+", which need the state of the shim in /run.
func closedPaths(r RunAs) []string {
	switch {
	case r.Dynamic():
		return []string{"-/run/dbus"}
	case r.root():
		return []string{
			"-/run/dbus", "-/run/systemd/private", "-/run/systemd/io.systemd.Manager", "-/run/systemd/io.systemd.sysext",
			"-/run/systemd/io.systemd.BootControl", "-/run/systemd/io.systemd.Credentials", "-/run/systemd/io.systemd.Hostname",
			"-/run/systemd/io.systemd.Import", "-/run/systemd/io.systemd.Login", "-/run/systemd/io.systemd.MountFileSystem",
			"-/run/systemd/io.systemd.NamespaceResource", "-/run/systemd/machine", "-/run/systemd/portable", "-/run/udev", "-/run/initctl",
			"-/run/docker.sock", "-/run/containerd", "-/run/podman", "-/run/crio", "-/run/libvirt", "-/run/snapd.socket",
			"-/var/snap/lxd/common/lxd", "-/var/lib/lxd", "-/var/lib/incus",
			"-/etc/shadow", "-/etc/gshadow", "-/etc/shadow-", "-/etc/gshadow-", "-/var/lib/clusterctl", "-/dev/hugepages",
		}
	}
	return []string{"-/run/dbus", "-/run/docker.sock"}
}

// WritableTrees returns the paths that workers in a sandbox may write to. Except in the strict sandbox, these paths include
// the app's directory, because many programs write to it.
func (a App) WritableTrees() []string {
	d := a.Directory
	if a.Sandbox == SandboxStrict || d == "" || path.Clean(d) == "/" || a.RunAs.Dynamic() || slices.Contains(a.Writable, d) {
		return a.Writable
	}
	return append([]string{d}, a.Writable...)
}

// The method visible sets which parts of the file system the workers can see and write to. In home directories, the workers
// see only the paths that the app needs. PID 1 binds each path separately, and resolves its symbolic links at each start.
func (r *renderer) visible(v *sandboxView, writable []string) {
	v.Home = "yes"
	if r.app.allows(AllowHome) {
		v.Home = "read-only"
	}
	bound := r.app.bound()
	for _, p := range writable {
		if slices.Contains(bound, p) {
			v.Binds = append(v.Binds, r.must(bindPath("writable", p)))
			continue
		}
		v.Writable = append(v.Writable, r.must(pathWord("writable", p)))
	}
	for _, p := range bound {
		v.Home = "tmpfs"
		if !slices.Contains(writable, p) {
			v.Reads = append(v.Reads, r.must(bindPath("read", p)))
		}
		if isHome(p) {
			for _, s := range secrets(p, bound) {
				v.Hidden = append(v.Hidden, "-"+r.must(pathWord("directory", s)))
			}
		}
	}
}

// The method bound returns the paths that PID 1 binds into the hidden home directories: the paths in [App.Reads], and all
// paths of the app in home directories. Paths below another bound path are omitted.
func (a App) bound() []string {
	if a.Sandbox == SandboxOff || a.allows(AllowHome) {
		return nil
	}
	paths := slices.Clone(a.Reads)
	writable := a.WritableTrees()
	for _, p := range slices.Concat([]string{a.Directory}, a.Writable, a.Command, a.workerEnvFiles()) {
		covered := slices.ContainsFunc(paths, func(above string) bool { return p == above || isBelow(p, above) })
		if strings.HasPrefix(p, "/") && inHome(p) && (!covered || slices.Contains(writable, p) && !slices.Contains(paths, p)) {
			paths = append(paths, p)
		}
	}
	return paths
}

// isBelow reports whether p is in the directory dir.
func isBelow(p, dir string) bool {
	return strings.HasPrefix(path.Clean(p)+"/", strings.TrimSuffix(path.Clean(dir), "/")+"/")
}

// inHome reports whether a path is in a directory that ProtectHome= hides.
func inHome(p string) bool {
	return isBelow(p, "/home") || isBelow(p, "/root") || isBelow(p, "/run/user")
}

// isHome reports whether a path is a home directory or a directory of home directories.
func isHome(p string) bool {
	p = path.Clean(p)
	return p == "/root" || path.Dir(p) == "/home" || path.Dir(p) == "/run/user" || p == "/home" || p == "/run/user"
}

// The function secrets returns the well-known files and directories in a home that contain keys and passwords, except the
// paths in the parameter bound.
func secrets(home string, bound []string) []string {
	var places []string
	for _, s := range []string{
		".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".git-credentials", ".npmrc", ".pypirc",
		".config/gcloud", ".config/gh", ".config/git", ".config/rclone", ".password-store", ".local/share/keyrings",
		".vault-token", ".terraform.d", ".cargo/credentials.toml", ".gem/credentials",
		".mozilla", ".config/google-chrome", ".config/chromium", ".bash_history", ".zsh_history",
	} {
		if p := path.Join(home, s); !slices.Contains(bound, p) {
			places = append(places, p)
		}
	}
	return places
}

// Allowance is a part of the sandbox that is switched off for an app: one word of --allow. templates/sandbox.tmpl explains
// each part.
type Allowance string

// The words of --allow.
const (
	// AllowHome makes all homes visible, read-only. The workers' user can read only what the file modes permit.
	AllowHome Allowance = "home"
	// AllowIOUring permits io_uring(7).
	AllowIOUring Allowance = "io-uring"
	// AllowNamespaces permits new namespaces and mounts in them. Chromium's sandbox needs namespaces.
	AllowNamespaces Allowance = "namespaces"
	// AllowPtrace permits ptrace(2) and similar system calls, for profilers and crash handlers.
	AllowPtrace Allowance = "ptrace"
	// AllowSharedMemory shares /dev/shm, System V IPC and message queues with the rest of the machine.
	AllowSharedMemory Allowance = "shm"
	// AllowSockets lets the workers connect to the sockets of D-Bus, systemd and container engines.
	AllowSockets Allowance = "sockets"
	// AllowUsers lets the workers see all users, and lets them access other processes with the same user.
	AllowUsers Allowance = "users"
)

// Allowances returns all words of --allow, sorted.
func Allowances() []Allowance {
	return []Allowance{AllowHome, AllowIOUring, AllowNamespaces, AllowPtrace, AllowSharedMemory, AllowSockets, AllowUsers}
}

// ParseAllowance parses one word of --allow.
func ParseAllowance(s string) (Allowance, error) {
	if a := Allowance(s); slices.Contains(Allowances(), a) {
		return a, nil
	}
	var words []string
	for _, a := range Allowances() {
		words = append(words, string(a))
	}
	return "", fieldErrorf("allow", "", "%q is not one of %s", s, strings.Join(words, ", "))
}

// The method allows reports whether a part of the sandbox is switched off for the app.
func (a App) allows(part Allowance) bool { return slices.Contains(a.Allow, part) }

// isConfined reports whether the shim prevents the workers from sending signals to processes outside the app. A
// native worker is confined only if the worker runs as root, because root may send signals to every process of the machine.
func (a App) isConfined() bool {
	if a.Sandbox == SandboxOff || a.allows(AllowUsers) {
		return false
	}
	return a.RunAs.root() || a.Activation == Adopt && !a.RunAs.Dynamic() || a.Adopted()
}

// The method root reports whether the workers run as root.
func (r RunAs) root() bool { return r.User == "root" || r.User == "0" }
