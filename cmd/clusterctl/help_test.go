package main

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestHelpPictures compares the help on terminals of 60, 80 and 200 columns with golden files. Help lines have at most 80
// columns.
func TestHelpPictures(t *testing.T) {
	for name, width := range map[string]int{"60": 60, "80": 80, "wide": 200} {
		w := newWorld(t)
		w.stdoutTTY, w.terminal = true, func() (int, int) { return width, 50 }
		var all strings.Builder
		for _, args := range []string{"help", "help install", "help start", "help ls"} {
			if code := w.do(strings.Fields(args)...); code != exitDone {
				t.Fatalf("%s: got status %d, stderr %s", args, code, w.err.String())
			}
			fmt.Fprintf(&all, "$ clusterctl %s\n%s\n", args, w.out.String())
		}
		golden(t, "help-"+name+".golden", all.String())
	}
}

// TestHelpWidth checks that no help line is wider than the terminal or than 80 columns.
func TestHelpWidth(t *testing.T) {
	for _, width := range []int{0, 60, 80, 200} {
		w := newWorld(t)
		w.stdoutTTY, w.terminal = width > 0, func() (int, int) { return width, 50 }
		limit := 80
		if width > 0 {
			limit = min(width, limit)
		}
		for _, cmd := range newApp(w.env).Commands {
			if cmd.Hidden {
				continue
			}
			w.do("help", cmd.Name)
			for line := range strings.Lines(w.out.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > limit {
					t.Errorf("%s: got %d columns on a terminal of %d: %s", cmd.Name, n, width, line)
				}
			}
		}
	}
}
