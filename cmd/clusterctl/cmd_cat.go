package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/units"
)

func catCommand(e *env) *cmdline.Command {
	return &cmdline.Command{
		Name: "cat", Usage: "Print the units and the configuration of an app from disk",
		Operands:    []cmdline.Operand{{Forms: []cmdline.Form{cmdline.Name}}},
		Description: []string{"The output includes drop-ins and manual edits."},
		Examples:    []string{"clusterctl cat shop"},
		Run:         bind(e, &struct{}{}, runCat),
	}
}

func runCat(_ context.Context, e *env, _ struct{}, in cmdline.Input) error {
	n, err := units.ParseName(in.Args[0])
	if err != nil {
		return err
	}
	a, err := e.store.Load(n)
	if err != nil {
		return err
	}
	patterns := []string{e.store.SourcePath(n)}
	switch _, err := os.ReadFile(e.store.ValuesPath(n)); {
	case err == nil:
		patterns = append(patterns, e.store.ValuesPath(n))
	case errors.Is(err, fs.ErrPermission):
		e.note("%s is omitted: only root can read it", e.store.ValuesPath(n))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, u := range append([]string{n.Service(), n.Template(), n.Slice()}, a.Sockets()...) {
		path := e.store.UnitPath(n, u)
		patterns = append(patterns, path)
		for _, dir := range e.dropInsOf(n, u) {
			patterns = append(patterns, dir+"/*.conf")
		}
	}
	var set units.Set
	for _, p := range patterns {
		files, err := readMatching(p)
		if err != nil {
			return err
		}
		set = append(set, files...)
	}
	return e.printFiles("", set)
}

// dropInsOf returns the drop-in directories of a unit: from the package of the app, and in /etc.
func (e *env) dropInsOf(n units.Name, unit string) []string {
	dirs := []string{filepath.Join(e.store.Units, unit) + ".d"}
	if packaged := e.store.UnitPath(n, unit+".d"); packaged != dirs[0] {
		dirs = append([]string{packaged}, dirs...)
	}
	return dirs
}

// readMatching reads the file at a path. If the path ends in "/*.conf", it reads all drop-ins of the directory.
func readMatching(pattern string) (units.Set, error) {
	dir, base := filepath.Split(pattern)
	if base != "*.conf" {
		data, err := os.ReadFile(pattern)
		return units.Set{{Path: pattern, Data: data}}, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var set units.Set
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".conf") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		set = append(set, units.File{Path: filepath.Join(dir, entry.Name()), Data: data})
	}
	return set, nil
}
