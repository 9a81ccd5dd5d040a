//go:build linux

package install

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestRemoveSocket checks that RemoveSocket removes only sockets and follows no links. A worker that owns a directory above
// its socket could replace the directory by a link.
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
		path, keeps, removes string
		fails                bool
	}{
		"a socket":                   {path: plain, removes: plain},
		"a socket in directories":    {path: deep, removes: deep},
		"a missing file":             {path: filepath.Join(root, "missing")},
		"a missing directory":        {path: filepath.Join(root, "missing/a.sock")},
		"a file":                     {path: file, keeps: file},
		"a link to a socket":         {path: link(foreign, "l.sock"), keeps: foreign},
		"a link as directory":        {path: link(filepath.Dir(foreign), "l") + "/a.sock", keeps: foreign, fails: true},
		"a link two levels above":    {path: link(filepath.Join(root, "private"), "up") + "/z/a.sock", keeps: foreign, fails: true},
		"a file as directory":        {path: file + "/a.sock", keeps: file, fails: true},
		"a directory of that name":   {path: filepath.Join(root, "private"), keeps: foreign},
		"a link to a missing parent": {path: link("nowhere", "dangling") + "/a.sock", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := RemoveSocket(c.path); (err != nil) != c.fails {
				t.Errorf("got error %v, want an error: %v", err, c.fails)
			}
			if c.keeps != "" {
				if _, err := os.Lstat(c.keeps); err != nil {
					t.Errorf("RemoveSocket must keep %s: %v", c.keeps, err)
				}
			}
			if c.removes != "" {
				if _, err := os.Lstat(c.removes); err == nil {
					t.Errorf("RemoveSocket did not remove %s", c.removes)
				}
			}
		})
	}
}
