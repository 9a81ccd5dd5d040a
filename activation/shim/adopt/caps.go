package adopt

import "golang.org/x/sys/unix"

// HasPtrace reports whether this process has CAP_SYS_PTRACE as an ambient capability. The program would inherit it, unless
// Config.OwnPtrace is set.
func HasPtrace() bool {
	r, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_SYS_PTRACE, 0, 0)
	return err == nil && r == 1
}

// dropPtrace removes CAP_SYS_PTRACE from every capability set of this process, so that the program does not have it after
// execve(2). The notifier, which was forked before, keeps it.
func dropPtrace() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, unix.CAP_SYS_PTRACE, 0, 0); err != nil {
		return err
	}
	// This needs CAP_SETPCAP, which a sandboxed unit does not have. Then the capability stays in the bounding set, which
	// gives no right by itself (no_new_privs).
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
