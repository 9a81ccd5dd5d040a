package units

import (
	"slices"
	"strings"
)

// Allowance is a part of the sandbox that is switched off for an app: one word of --allow. templates/sandbox.tmpl explains
// each part.
type Allowance string

// The words of --allow.
const (
	// AllowHome makes all homes visible, read-only. The workers' user can read only what the file modes permit.
	AllowHome Allowance = "home"
	// AllowIOUring permits io_uring(7).
	AllowIOUring Allowance = "io-uring"
	// AllowNamespaces permits new namespaces and mounts in them. Chromium's sandbox needs them.
	AllowNamespaces Allowance = "namespaces"
	// AllowPtrace permits ptrace(2) and similar system calls, for profilers and crash handlers.
	AllowPtrace Allowance = "ptrace"
	// AllowSharedMemory shares /dev/shm, System V IPC and message queues with the rest of the machine.
	AllowSharedMemory Allowance = "shm"
	// AllowSockets keeps the sockets of D-Bus, systemd and container engines accessible.
	AllowSockets Allowance = "sockets"
	// AllowUsers lets the workers see all users and access other processes of the same user.
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

// allows reports whether a part of the sandbox is switched off for the app.
func (a App) allows(part Allowance) bool { return slices.Contains(a.Allow, part) }

// confined reports whether the shim prevents the workers from sending signals to processes outside the app. A native worker
// starts without the shim, unless it runs as root, because root may send signals to every process of the machine. A dynamic
// user has no processes outside the app, so nothing has to be prevented.
func (a App) confined() bool {
	if a.Sandbox == SandboxOff || a.allows(AllowUsers) {
		return false
	}
	return a.RunAs.root() || a.Activation == Adopt && !a.RunAs.Dynamic() || a.Adopted()
}

// root reports whether the workers run as root.
func (r RunAs) root() bool { return r.User == "root" || r.User == "0" }
