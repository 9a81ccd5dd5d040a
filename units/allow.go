package units

import (
	"slices"
	"strings"
)

// Allowance is a part of the sandbox that an app does without, one word of --allow. templates/sandbox.tmpl has the reason of
// each part.
type Allowance string

// The allowances.
const (
	// AllowHome shows all homes read-only, as far as their modes let the workers' user read them.
	AllowHome Allowance = "home"
	// AllowIOUring permits io_uring(7).
	AllowIOUring Allowance = "io-uring"
	// AllowNamespaces permits new namespaces and mounts in them, which Chromium's own sandbox is made of.
	AllowNamespaces Allowance = "namespaces"
	// AllowPtrace permits ptrace(2) and the like, for profilers and crash handlers.
	AllowPtrace Allowance = "ptrace"
	// AllowSharedMemory shares /dev/shm, System V IPC and message queues with the rest of the machine.
	AllowSharedMemory Allowance = "shm"
	// AllowSockets leaves the sockets of D-Bus, of systemd and of container engines within reach.
	AllowSockets Allowance = "sockets"
	// AllowUsers lets the workers see all users, and reach other processes of the same user.
	AllowUsers Allowance = "users"
)

// Allowances returns all words of --allow, sorted.
func Allowances() []Allowance {
	return []Allowance{AllowHome, AllowIOUring, AllowNamespaces, AllowPtrace, AllowSharedMemory, AllowSockets, AllowUsers}
}

// ParseAllowance reads one word of --allow.
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

// allows reports whether the app does without a part of the sandbox.
func (a App) allows(part Allowance) bool { return slices.Contains(a.Allow, part) }

// confined reports whether the shim keeps the workers from sending signals to processes that are not theirs. A native
// worker is started without the shim, unless it runs as root: root may send signals to every process of the machine. A
// dynamic user has no other processes.
func (a App) confined() bool {
	if a.Sandbox == SandboxOff || a.allows(AllowUsers) {
		return false
	}
	return a.RunAs.root() || a.Activation == Adopt && !a.RunAs.Dynamic() || a.Adopted()
}

// root reports whether the workers run as root.
func (r RunAs) root() bool { return r.User == "root" || r.User == "0" }
