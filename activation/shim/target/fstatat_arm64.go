package target

import "golang.org/x/sys/unix"

// The constant of fstatat(2) has a different name on each architecture.
const sysFstatat = unix.SYS_FSTATAT
