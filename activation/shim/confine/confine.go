// Package confine keeps a program from sending signals to processes that are not its own, with Landlock (landlock(7)).
//
// A user namespace does not do this: kill(2) compares the user ids of the machine, so that a worker could end the shells and
// the other apps of its user, and a worker of root every process there is. A PID namespace would do it, but its first process
// ignores every signal that it does not handle, SIGTERM included.
//
// A domain of Landlock holds the calling thread and all that it starts from then on. Whoever is outside, as systemd and the
// notifier are, may still signal, read and trace what is inside; the other way round, signals and ptrace are refused with EPERM.
package confine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rulesetAttr is struct landlock_ruleset_attr of ABI 6, Linux 6.12. No right to files or ports is handled, so that none is
// taken away.
type rulesetAttr struct {
	fs, net, scoped uint64
}

const (
	// scopeSignal is LANDLOCK_SCOPE_SIGNAL.
	scopeSignal = 1 << 1
	// versionOfABI is LANDLOCK_CREATE_RULESET_VERSION.
	versionOfABI = 1
	// scopedABI is the first ABI with scopes.
	scopedABI = 6
)

// Signals puts the calling, locked thread into a domain of its own, which the program keeps through execve(2). It needs
// no_new_privs. It reports whether the kernel has done so: before Linux 6.12 there are no scopes, and a container may not
// permit the calls.
func Signals() bool {
	abi, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, versionOfABI)
	if e != 0 || abi < scopedABI {
		return false
	}
	attr := rulesetAttr{scoped: scopeSignal}
	fd, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if e != 0 {
		return false
	}
	_, _, e = unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	return e == 0
}
