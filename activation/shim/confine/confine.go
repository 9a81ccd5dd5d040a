// Package confine uses Landlock (landlock(7)) to stop a program from sending signals to processes of other programs.
//
// A user namespace does not prevent signals: kill(2) compares the user ids of the machine, so a worker could end the shells
// and the other apps of its user, and a worker that runs as root could end every process. A PID namespace would prevent
// such signals, but its first process ignores every signal that it does not handle, SIGTERM included.
//
// A Landlock domain contains the calling thread and every process that this thread starts later. Processes outside the
// domain, such as systemd and the notifier, can still signal, read and trace processes inside. A process inside gets EPERM
// when it signals or traces a process outside.
package confine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rulesetAttr is struct landlock_ruleset_attr of ABI 6, Linux 6.12. A ruleset with fs and net 0 does not restrict access to
// files and ports.
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

// Signals puts the calling thread into a new domain, and reports whether this succeeded. The caller must have called
// runtime.LockOSThread and set no_new_privs. The domain also applies to the program after execve(2). Signals returns false
// on Linux before 6.12, which has no scopes, and in a container that refuses the calls.
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
