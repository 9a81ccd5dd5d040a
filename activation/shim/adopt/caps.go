package adopt

import "golang.org/x/sys/unix"

// HasPtrace reports whether the unit gives this process CAP_SYS_PTRACE in a way that the program would have it too,
// unless Config.OwnPtrace is set.
func HasPtrace() bool {
	r, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_SYS_PTRACE, 0, 0)
	return err == nil && r == 1
}

// dropPtrace takes CAP_SYS_PTRACE out of every set of this process, so that the
// program does not have it after execve(2). The notifier has been forked before
// and keeps it.
func dropPtrace() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, unix.CAP_SYS_PTRACE, 0, 0); err != nil {
		return err
	}
	// Needs CAP_SETPCAP, which a sandboxed unit lacks; without it the capability
	// stays in the bounding set, where alone it gives nothing (no_new_privs).
	_ = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0)
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return err
	}
	const bit = uint32(1) << unix.CAP_SYS_PTRACE
	d[0].Effective &^= bit
	d[0].Permitted &^= bit
	d[0].Inheritable &^= bit
	return unix.Capset(&h, &d[0])
}
