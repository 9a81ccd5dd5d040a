package resolve

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

func TestCommonParent(t *testing.T) {
	for _, c := range [][3]string{
		{"/home/a/app", "/home/a/app/releases/7", "/home/a/app"}, {"/home/a", "/home/a/releases/7", "/home/a"},
		{"/home/a/x", "/home/a/xy", "/home/a"}, {"/home/a", "/srv", "/"}, {"/home/a", "/home/a", "/home/a"},
	} {
		if got := commonParent(c[0], c[1]); got != c[2] {
			t.Errorf("%s and %s: got %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// TestProgramPaths checks that programPaths returns the parent of "bin" only if other files there belong to the program.
func TestProgramPaths(t *testing.T) {
	for program, want := range map[string][]string{
		"/home/a/.pyenv/shims/python": {"/home/a/.pyenv"}, "/home/a/.volta/bin/node": {"/home/a/.volta"},
		"/home/a/bin/tool": {"/home/a/bin/tool"}, "/home/a/.cargo/bin/tool": {"/home/a/.cargo/bin/tool"},
		"/home/a/app/run": {"/home/a/app/run"},
	} {
		if got := programPaths(program); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", program, got, want)
		}
	}
}

// TestNoHomes checks that addHomePaths adds no paths and prints no notes for an app outside all homes.
func TestNoHomes(t *testing.T) {
	w := newWorld(t)
	a := units.App{Command: []string{"/usr/bin/env", "/etc/hosts"}, Directory: "/usr", Writable: []string{"/var"}}
	w.addHomePaths(&a)
	if len(a.Reads) > 0 || w.notes.Len() > 0 {
		t.Errorf("got the readable paths %q, notes %q, want neither", a.Reads, w.notes.String())
	}
}
