package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestUnified applies the diff of two texts to the old text with "git apply", and compares the result with the new text.
func TestUnified(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			s := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "", "[Unit]", "d"}), 0, 40).Draw(t, "lines"), "\n")
			if rapid.Bool().Draw(t, "newline") && s != "" {
				s += "\n"
			}
			return s
		})
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		got := unifiedDiff("f", []byte(before), []byte(after))
		if (got == "") != (before == after) {
			t.Fatalf("%q and %q: got the diff %q", before, after, got)
		}
		if got == "" {
			return
		}
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		if after == "" {
			return // patch removes the file
		}
		cmd := exec.Command("git", "apply", "--unidiff-zero", "-p0")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(got)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git apply: got error %v\n%s\nfor the diff\n%s", err, out, got)
		}
		if data, _ := os.ReadFile(path); string(data) != after {
			t.Fatalf("%q: got %q from the diff\n%s", before, data, got)
		}
	})
}

func TestUnifiedFiles(t *testing.T) {
	for _, tt := range []struct {
		before, after []byte
		want          string
	}{
		{nil, []byte("a\nb\n"), "--- /dev/null\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{[]byte("a\n"), nil, "--- f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n"},
		{[]byte("a"), []byte("a\n"), "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		{nil, nil, ""}, {[]byte{}, []byte{}, ""},
		{nil, []byte{}, "--- /dev/null\n+++ f\n"},
	} {
		if got := unifiedDiff("f", tt.before, tt.after); got != tt.want {
			t.Errorf("%q and %q: got\n%q, want\n%q", tt.before, tt.after, got, tt.want)
		}
	}
	long := func(n int) []byte { return []byte(strings.Repeat("x\ny\n", n)) }
	if got := unifiedDiff("f", append(long(2500), 'z'), append([]byte("w\n"), long(2400)...)); !strings.Contains(got, "+w\n") {
		t.Error("got no diff for a large file")
	}
}

// TestColoured: a diff has colours only on a terminal, and control characters in the files are replaced.
func TestColoured(t *testing.T) {
	text := unifiedDiff("f", []byte("a\nb\n"), []byte("a\n\x1b[31m\n"))
	if got := (&env{}).colourDiff(text); got != text {
		t.Errorf("in a pipe: got %q, want no colours", got)
	}
	want := "\x1b[1m--- f\x1b[0m\n\x1b[1m+++ f\x1b[0m\n\x1b[36m@@ -1,2 +1,2 @@\x1b[0m\n a\n\x1b[31m-b\x1b[0m\n\x1b[32m+\uFFFD[31m\x1b[0m\n"
	if got := (&env{colours: true}).colourDiff(text); got != want {
		t.Errorf("on a terminal: got %q, want %q", got, want)
	}
}
