package guard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFollow checks that Follow returns every link of a path, also links to directories, and keeps a missing part of the
// path.
func TestFollow(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"releases/7", "bin"} {
		if err := os.MkdirAll(filepath.Join(top, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"current": "releases/7", "alias": filepath.Join(top, "current"), "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(top, from)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]struct {
		at    string
		links int
	}{
		"bin": {"bin", 0}, "current/app.js": {"releases/7/app.js", 1}, "alias/app.js": {"releases/7/app.js", 2}, "gone/x": {"gone/x", 0},
	} {
		at, links := Follow(filepath.Join(top, path))
		if at != filepath.Join(top, want.at) || len(links) != want.links {
			t.Errorf("%s: got %s with the links %v, want %s with %d links", path, at, links, want.at, want.links)
		}
	}
	if at, _ := Follow(filepath.Join(top, "loop")); at == "" {
		t.Error("a link to itself: got an empty path")
	}
}

func TestShebang(t *testing.T) {
	w := newWorld(t)
	for text, want := range map[string]string{
		"#!/bin/sh\n": "/bin/sh", "#! /bin/sh -e \nx": "/bin/sh -e", "#!/usr/bin/env node\r\n": "node",
		"#!/usr/bin/env -S deno run -A\n": "deno run -A",
		"#!/usr/bin/env":                  "/usr/bin/env", "#!": "", "#!\n": "", "": "", " #!/bin/sh": "", "text": "",
		"#!/x" + strings.Repeat("y", 300): "/x" + strings.Repeat("y", 252),
	} {
		path := w.file(t, "script", text, 0o644)
		if got := strings.Join(Shebang(path), " "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if Shebang(filepath.Join(w.dir, "nothing")) != nil || Shebang(w.dir) != nil {
		t.Error("a missing file or a directory: got an interpreter")
	}
}
