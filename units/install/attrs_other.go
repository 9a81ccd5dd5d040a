//go:build !linux

package install

import (
	"io/fs"
	"os"
)

func attrsOf(_ *os.File, info fs.FileInfo) (attrs, error) {
	return attrs{mode: info.Mode().Perm()}, nil
}

func (a attrs) set(f *os.File) error { return f.Chmod(a.mode) }
