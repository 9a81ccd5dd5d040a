//go:build unix

package install

import (
	"io/fs"
	"os"
	"syscall"
)

// foreignOwner returns the owner of a file, and true if the owner is neither root nor the current user.
func foreignOwner(info fs.FileInfo) (uid int, foreign bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), int(stat.Uid) != os.Geteuid() && stat.Uid != 0
}
