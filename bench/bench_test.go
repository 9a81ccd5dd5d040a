package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/bench/plot"
	"github.com/clusterctl/clusterctl/bench/report"
	"github.com/clusterctl/clusterctl/bench/result"
)

func TestParse(t *testing.T) {
	o, err := parse(nil)
	if err != nil || o.budget != fullBudget || o.slow != 1 {
		t.Errorf("got %+v, error %v, want the defaults", o, err)
	}
	if o, err = parse([]string{"-quick", "-slow", "3"}); err != nil || o.budget != 3*quickBudget {
		t.Errorf("got %+v, error %v, want the budget %v", o, err, 3*quickBudget)
	}
	for _, bad := range [][]string{{"-slow", "0"}, {"more"}, {"-budget", "x"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("parse(%q) returned no error", bad)
		}
	}
}

// TestWhere checks that only a complete run changes docs/benchmarks.md.
func TestWhere(t *testing.T) {
	root := t.TempDir()
	f := result.File{Schema: result.Schema, Date: time.Date(2026, 11, 26, 23, 0, 0, 0, time.UTC)}
	quick := f
	quick.Quick = true
	for _, c := range []struct {
		o           options
		f           result.File
		file, where string
	}{
		{options{}, f, "2026-11-26.json", "docs"},
		{options{only: "herd"}, f, "2026-11-26-part.json", "bench/results/2026-11-26-part"},
		{options{}, quick, "2026-11-26-quick.json", "bench/results/2026-11-26-quick"},
	} {
		c.o.root = root
		path, err := c.o.save(c.f)
		if err != nil || path != filepath.Join(root, "bench/results", c.file) {
			t.Errorf("got %s, error %v, want the file %s", path, err, c.file)
		}
		if err := c.o.document(c.f); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(root, c.where, "benchmarks.md")); err != nil {
			t.Error(err)
		}
	}
}

// TestTree checks that docs/benchmarks.md and its plots match the newest results in the tree.
func TestTree(t *testing.T) {
	paths, err := filepath.Glob("results/????-??-??.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("../docs/benchmarks.md"); err == nil && len(paths) == 0 {
		t.Fatal("docs/benchmarks.md exists without results")
	}
	slices.Sort(paths)
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := result.Decode(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: error %v", path, err)
			continue
		}
		if i < len(paths)-1 {
			continue
		}
		want := map[string]string{"benchmarks.md": report.Markdown(f, filepath.Base(path))}
		for _, p := range plot.All(f) {
			want[filepath.Join(report.Plots, p.Name)] = string(p.SVG)
		}
		for name, text := range want {
			if got, err := os.ReadFile(filepath.Join("../docs", name)); err != nil || string(got) != text {
				t.Errorf("docs/%s does not match %s (%v); run: go run ./bench -render bench/%[2]s", name, path, err)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	f := result.File{Comparisons: []result.Comparison{{Name: "a", Status: result.OK},
		{Name: "b", Status: result.Failed, Why: "died"}, {Name: "c", Status: result.LeftOut}}}
	if err := failures(f); err == nil || !strings.Contains(err.Error(), "1 of 3 comparisons failed:\nb: died") {
		t.Errorf("got error %v, want 1 of 3 comparisons failed", err)
	}
	if got, want := tally(f), "3 comparisons: 1 measured, 1 skipped, 1 failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := failures(result.File{}); err != nil {
		t.Error(err)
	}
}

func TestLineOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "info")
	if err := os.WriteFile(path, []byte("processor\t: 0\nmodel name\t: A CPU: fast\nmodel name\t: other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lineOf(path, "model name"); got != "A CPU: fast" {
		t.Errorf("got %q, want A CPU: fast", got)
	}
	if got := lineOf(path, "none"); got != "" {
		t.Errorf("got %q for a missing key, want an empty text", got)
	}
}
