package install

import (
	"path/filepath"
	"slices"
	"strconv"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
)

// extraDir returns the directory of the marks of extra instances.
func (s Store) extraDir() string { return filepath.Join(s.Run, contract.ExtraDirectory) }

func extraName(app units.Name, instance int) string {
	return string(app) + "@" + strconv.Itoa(instance)
}

// MarkExtra marks instances that run although the units do not list them or the machine has fewer CPUs. It must be called
// before their start: if the command is killed, the next command finds the marks and knows which instances to stop. The lock
// of the app must be held.
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

// UnmarkExtra removes the marks of instances that have stopped or that the units list now.
func (s Store) UnmarkExtra(app units.Name, instances ...int) error {
	return s.within(s.extraDir(), func(d *dir) error {
		for _, i := range instances {
			if err := d.remove(extraName(app, i)); err != nil {
				return err
			}
		}
		return s.removeEmptyBase(s.extraDir(), dirMode)
	})
}

// Extra returns the marked instances of an app, sorted. If the app's lock is held, they come from a command that was killed.
func (s Store) Extra(app units.Name) ([]int, error) {
	entries, err := readDir(s.extraDir())
	if err != nil {
		return nil, err
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
