package target

import "golang.org/x/sys/unix"

// fstatat(2) is one call with a name for each architecture.
const sysFstatat = unix.SYS_NEWFSTATAT
