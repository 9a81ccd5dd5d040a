package resolve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// DefaultFile is the name of the file that describes apps.
const DefaultFile = "clusterctl.yaml"

// Apps returns the apps that a file describes. Paths in the file are relative to the directory of the file. If the file is
// the source of an installed app, Apps reads the values of variables from the values file, because the source has no values.
func (r *Resolver) Apps(path string) ([]units.App, error) {
	full, err := r.Absolute(path)
	if err != nil {
		return nil, err
	}
	if name, ok := r.sourceOf(full); ok {
		a, err := r.Store.Load(name)
		return []units.App{a}, err
	}
	data, err := os.ReadFile(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fmt.Errorf("there is no file %q", path),
			"use -f FILE; clusterctl.yaml(5) describes the format")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, fault.Cause(err))
	}
	return config.Parse(path, data, func(a *units.App) error {
		r.keepCount(a)
		return r.fromDirectory(a, filepath.Dir(full))
	})
}

// sourceOf returns the name of the installed app whose source has this path.
func (r *Resolver) sourceOf(path string) (units.Name, bool) {
	name, err := units.ParseName(strings.TrimSuffix(filepath.Base(path), ".yaml"))
	if err != nil || path != r.Store.ConfigPath(name) {
		return "", false
	}
	_, err = os.Lstat(path)
	return name, err == nil
}

// fromDirectory makes the paths of an app absolute, relative to dir, and finds the program in $PATH. fromDirectory does not
// check that files exist.
func (r *Resolver) fromDirectory(a *units.App, dir string) error {
	absolute := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	absolute(&a.Directory)
	for i := range a.EnvFiles {
		absolute(&a.EnvFiles[i].Path)
	}
	for i := range a.Writable {
		absolute(&a.Writable[i])
	}
	for i := range a.Reads {
		absolute(&a.Reads[i])
	}
	if len(a.Command) == 0 || a.Command[0] == "" || filepath.IsAbs(a.Command[0]) {
		return nil
	}
	program := a.Command[0]
	if strings.Contains(program, "/") {
		if a.Directory != "" {
			dir = a.Directory
		}
		program = filepath.Join(dir, program)
	} else {
		found, err := r.findInterpreter([]string{program})
		if err != nil {
			return &units.FieldError{
				Key: "command", Message: fmt.Sprintf("the program %q is not in $PATH", program), Hint: "give its full path",
			}
		}
		program = found
	}
	a.Command = append([]string{program}, a.Command[1:]...)
	return nil
}

// Choose returns the apps with the given names, in the order of apps. If names is empty, Choose returns all apps. The
// parameter path is the path of the file, for the error.
func Choose(apps []units.App, names []string, path string) ([]units.App, error) {
	if len(names) == 0 {
		return apps, nil
	}
	var known []string
	for _, a := range apps {
		known = append(known, string(a.Name))
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			err := fmt.Errorf("there is no app %q in %s", n, path)
			if like := text.Nearest(n, known); like != "" {
				return nil, fault.WithHint(err, "did you mean %s?", like)
			}
			return nil, fault.WithHint(err, "the apps in the file are: %s", strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(apps), func(a units.App) bool { return !slices.Contains(names, string(a.Name)) }), nil
}

// Described returns the app with this name from the clusterctl.yaml in the working directory.
func (r *Resolver) Described(name string) (a units.App, found bool, err error) {
	if _, err := units.ParseName(name); err != nil {
		return a, false, nil
	}
	path, err := r.Absolute(DefaultFile)
	if err != nil {
		return a, false, nil // the working directory was removed
	}
	if _, err := os.Stat(path); err != nil {
		return a, false, nil
	}
	apps, err := r.Apps(DefaultFile)
	if err != nil {
		if _, statErr := os.Stat(name); statErr == nil {
			return a, false, nil // the argument is a file or directory, so an invalid clusterctl.yaml does not matter
		}
		return a, false, err
	}
	i := slices.IndexFunc(apps, func(a units.App) bool { return string(a.Name) == name })
	if i < 0 {
		return a, false, nil
	}
	return apps[i], true, nil
}

// If the user gave no number of instances, keepCount keeps the number of the installed app, so that a deploy does not undo a
// scale.
func (r *Resolver) keepCount(a *units.App) {
	if now, err := r.Store.Load(a.Name); err == nil && !a.Instances.Given() {
		a.Instances = now.Instances
	}
}
