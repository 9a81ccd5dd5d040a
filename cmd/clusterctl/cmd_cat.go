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
	paths := []string{e.store.SourcePath(n)}
	switch _, err := os.ReadFile(e.store.ValuesPath(n)); {
	case err == nil:
		paths = append(paths, e.store.ValuesPath(n))
	case errors.Is(err, fs.ErrPermission):
		e.note("%s is omitted: only root can read it", e.store.ValuesPath(n))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, u := range append([]string{n.Service(), n.Template(), n.Slice()}, a.Sockets()...) {
		paths = append(paths, e.store.UnitPath(n, u))
		for _, dir := range e.dropInsOf(n, u) {
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			for _, entry := range entries {
				if strings.HasSuffix(entry.Name(), ".conf") {
					paths = append(paths, filepath.Join(dir, entry.Name()))
				}
			}
		}
	}
	var set units.Set
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		set = append(set, units.File{Path: p, Data: data})
	}
	return e.printFiles("", set)
}

// dropInsOf returns the drop-in directories of a unit: the directory in the Debian package of the app, if there is one, and
// the directory in /etc.
func (e *env) dropInsOf(n units.Name, unit string) []string {
	dirs := []string{filepath.Join(e.store.Units, unit) + ".d"}
	if packaged := e.store.UnitPath(n, unit+".d"); packaged != dirs[0] {
		dirs = append([]string{packaged}, dirs...)
	}
	return dirs
}
