package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
)

// extraDir is where the marks of extra instances are.
func (s Store) extraDir() string { return filepath.Join(s.Run, contract.ExtraDirectory) }

func extraName(app units.Name, instance int) string {
	return string(app) + "@" + strconv.Itoa(instance)
}

// MarkExtra marks instances that are to run although the units do not list them, or the CPU count does not reach so
// far. The mark comes before the start, so that whoever finds it after a kill knows what to stop. The lock of the app must be
// held.
func (s Store) MarkExtra(app units.Name, instances ...int) error {
	return retry(func() error {
		d, err := s.ensure(s.extraDir(), dirMode)
		if err != nil {
			return err
		}
		defer d.close()
		for _, i := range instances {
			if err := d.create(extraName(app, i), []byte(s.Command+"\n"), fileMode); err != nil {
				return err
			}
		}
		return nil
	})
}

// UnmarkExtra removes the marks of instances that are stopped, or listed now.
func (s Store) UnmarkExtra(app units.Name, instances ...int) error {
	d, err := s.open(s.extraDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	for _, i := range instances {
		if err := d.remove(extraName(app, i)); err != nil {
			return err
		}
	}
	return s.removeEmptyBase(s.extraDir(), dirMode)
}

// Extra lists the marked instances of an app, sorted. Those found under the app's lock are left by a command that was
// killed.
func (s Store) Extra(app units.Name) ([]int, error) {
	entries, err := os.ReadDir(s.extraDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError("reading", s.extraDir(), err)
	}
	var instances []int
	for _, e := range entries {
		if name, i, err := units.ParseInstance(e.Name()); err == nil && name == app && i > 0 {
			instances = append(instances, i)
		}
	}
	slices.Sort(instances)
	return instances, nil
}
