//go:build !unix

package install

import "io/fs"

// foreignOwner returns false, because files have no owner on this system.
func foreignOwner(fs.FileInfo) (uid int, foreign bool) { return 0, false }
