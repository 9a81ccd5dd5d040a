package seccomp

import "golang.org/x/sys/unix"

func nativePaths() PathCalls {
	return PathCalls{Unlinkat: unix.SYS_UNLINKAT, Renameat2: unix.SYS_RENAMEAT2, Fchmodat: unix.SYS_FCHMODAT, Fchmodat2: unix.SYS_FCHMODAT2,
		Fchownat: unix.SYS_FCHOWNAT, Unlink: unix.SYS_UNLINK, Rename: unix.SYS_RENAME, Chmod: unix.SYS_CHMOD,
		Chown: unix.SYS_CHOWN, Lchown: unix.SYS_LCHOWN,
		Renameat: unix.SYS_RENAMEAT}
}
