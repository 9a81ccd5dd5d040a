package install

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// setByProperty is the beginning of each file that "systemctl set-property" writes.
const setByProperty = `# This is a drop-in unit file extension, created via "systemctl set-property"`

// limitDirs returns the directories of the files that "systemctl set-property" writes: permanent settings, and settings
// until the next boot.
func (s Store) limitDirs() []string {
	return []string{filepath.Join(filepath.Dir(s.Units), "system.control"), filepath.Join(filepath.Dir(s.RuntimeUnits), "system.control")}
}

// RemoveLimits removes the settings that "systemctl set-property" made for the units of an app, and returns the removed
// files. systemd does not remove them together with a unit, so they would apply to the next app of that name.
func (s Store) RemoveLimits(a units.App) (removed []string, err error) {
	for _, parent := range s.limitDirs() {
		dirs, err := readDir(parent)
		if err != nil {
			return removed, err
		}
		for _, d := range dirs {
			unit, found := strings.CutSuffix(d.Name(), ".d")
			if !found || !d.IsDir() || !hasUnit(a, unit) {
				continue
			}
			files, err := removeProperties(filepath.Join(parent, d.Name()))
			removed = append(removed, files...)
			if err != nil {
				return removed, err
			}
		}
		if len(removed) > 0 {
			_ = os.Remove(parent) // fails if it is not empty
		}
	}
	return removed, nil
}

// hasUnit reports whether a unit belongs to the app.
func hasUnit(a units.App, unit string) bool {
	instance := strings.HasPrefix(unit, string(a.Name)+"@") && strings.HasSuffix(unit, ".service")
	return instance || unit == a.Name.Service() || unit == a.Name.Slice() || slices.Contains(a.Sockets(), unit)
}

// removeProperties removes the files of "systemctl set-property" in a directory, and the directory if it is empty then.
func removeProperties(dir string) (removed []string, err error) {
	files, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(path)
		if err != nil || !f.Type().IsRegular() || !bytes.HasPrefix(data, []byte(setByProperty)) {
			continue // not written by systemctl set-property
		}
		if err := os.Remove(path); err != nil {
			return removed, pathError("removing", path, err)
		}
		removed = append(removed, path)
	}
	_ = os.Remove(dir)
	return removed, nil
}
