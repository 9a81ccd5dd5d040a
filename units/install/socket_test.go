//go:build linux

package install

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestRemoveSocket: RemoveSocket does not follow links, because a worker that owns a directory above its socket can replace
// it by a link.
func TestRemoveSocket(t *testing.T) {
	root := t.TempDir()
	listen := func(path string) string {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
		return path
	}
	link := func(to, path string) string {
		path = filepath.Join(root, path)
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	plain, deep, foreign := listen("a.sock"), listen("x/y/a.sock"), listen("private/z/a.sock")
	for name, c := range map[string]struct {
		path, stays, goes string
		fails             bool
	}{
		"a socket":                   {path: plain, goes: plain},
		"a socket in directories":    {path: deep, goes: deep},
		"a missing file":             {path: filepath.Join(root, "missing")},
		"a missing directory":        {path: filepath.Join(root, "missing/a.sock")},
		"a file":                     {path: file, stays: file},
		"a link to a socket":         {path: link(foreign, "l.sock"), stays: foreign},
		"a link as directory":        {path: link(filepath.Dir(foreign), "l") + "/a.sock", stays: foreign, fails: true},
		"a link higher up":           {path: link(filepath.Join(root, "private"), "up") + "/z/a.sock", stays: foreign, fails: true},
		"a file as directory":        {path: file + "/a.sock", stays: file, fails: true},
		"a directory of that name":   {path: filepath.Join(root, "private"), stays: foreign},
		"a link to a missing parent": {path: link("nowhere", "dangling") + "/a.sock", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := RemoveSocket(c.path); (err != nil) != c.fails {
				t.Errorf("%v", err)
			}
			if c.stays != "" {
				if _, err := os.Lstat(c.stays); err != nil {
					t.Errorf("%s is gone: %v", c.stays, err)
				}
			}
			if c.goes != "" {
				if _, err := os.Lstat(c.goes); err == nil {
					t.Errorf("%s is still there", c.goes)
				}
			}
		})
	}
}
