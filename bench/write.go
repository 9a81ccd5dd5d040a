package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/clusterctl/clusterctl/bench/plot"
	"github.com/clusterctl/clusterctl/bench/report"
	"github.com/clusterctl/clusterctl/bench/result"
)

// isComplete reports whether the run is complete, so that docs/benchmarks.md may be written from it.
func (o options) isComplete(f result.File) bool { return !f.Quick && o.only == "" }

// stem returns the name of the run's files without extension: the date of the run, and
// its kind if it is not complete.
func (o options) stem(f result.File) string {
	name := f.Date.Format("2006-01-02")
	switch {
	case f.Quick:
		name += "-quick"
	case o.only != "":
		name += "-part"
	}
	return name
}

func (o options) resultsDir() string {
	if o.results != "" {
		return o.results
	}
	return filepath.Join(o.root, "bench/results")
}

func (o options) save(f result.File) (string, error) {
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		return "", err
	}
	path := filepath.Join(o.resultsDir(), o.stem(f)+".json")
	return path, write(path, b.Bytes())
}

// document writes benchmarks.md and its plots.
func (o options) document(f result.File) error {
	dir := o.docs
	switch {
	case dir != "":
	case o.isComplete(f):
		dir = filepath.Join(o.root, "docs")
	default:
		dir = filepath.Join(o.resultsDir(), o.stem(f))
	}
	for _, p := range plot.All(f) {
		if err := write(filepath.Join(dir, report.Plots, p.Name), p.SVG); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, "benchmarks.md")
	if err := write(path, []byte(report.Markdown(f, o.stem(f)+".json"))); err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

func write(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
