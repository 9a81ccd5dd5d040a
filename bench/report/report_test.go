package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/bench/compare"
	"github.com/clusterctl/clusterctl/bench/plot"
	"github.com/clusterctl/clusterctl/bench/result"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func fixture(t *testing.T) result.File {
	t.Helper()
	in, err := os.Open("testdata/results.json")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	f, err := result.Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// golden compares got with a golden file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got; go test -update rewrites it):\n%s", name, d)
	}
}

func TestMarkdown(t *testing.T) {
	f := fixture(t)
	golden(t, "benchmarks.md", []byte(Markdown(f, "2026-11-26.json")))
	f.Quick = true
	if !strings.Contains(Markdown(f, "x.json"), "**This is a smoke run.") {
		t.Error("a smoke run is not marked")
	}
}

func TestPlots(t *testing.T) {
	f := fixture(t)
	all := plot.All(f)
	if len(all) != 4 {
		t.Fatalf("got %d plots, want 4", len(all))
	}
	text := Markdown(f, "x.json")
	for i, p := range all {
		golden(t, p.Name, p.SVG)
		if !bytes.Equal(p.SVG, plot.All(f)[i].SVG) {
			t.Errorf("%s differs between two calls", p.Name)
		}
		if !strings.Contains(text, "("+Plots+"/"+p.Name+")") {
			t.Errorf("the document does not show %s", p.Name)
		}
	}
}

// TestNothing checks that a document is written even if all comparisons have failed.
func TestNothing(t *testing.T) {
	f := result.File{Schema: result.Schema}
	for _, g := range compare.Groups() {
		f.Comparisons = append(f.Comparisons, g.Fail(os.ErrDeadlineExceeded)...)
	}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	text := Markdown(f, "x.json")
	if len(plot.All(f)) != 0 || !strings.Contains(text, "- `herd`, failed: i/o timeout") || strings.Contains(text, "svg") {
		t.Errorf("got the document\n%s\nwant only the failure of herd", text)
	}
}

// TestProse checks that each comparison has a text, and that each text belongs to a
// comparison.
func TestProse(t *testing.T) {
	known := map[string]bool{}
	for _, g := range compare.Groups() {
		for _, n := range g.Names {
			known[n] = true
			if explanation(n) == "" {
				t.Errorf("%s has no text", n)
			}
		}
	}
	for _, x := range texts {
		if !known[x.name] {
			t.Errorf("the text %s does not belong to a comparison", x.name)
		}
	}
}
