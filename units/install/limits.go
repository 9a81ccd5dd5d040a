package install

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// setByProperty begins each file of "systemctl set-property".
const setByProperty = `# This is a drop-in unit file extension, created via "systemctl set-property"`

// limitDirs returns the directories in which systemd keeps what "systemctl set-property" has set, for good and until the
// next boot.
func (s Store) limitDirs() []string {
	return []string{filepath.Join(filepath.Dir(s.Units), "system.control"), filepath.Join(filepath.Dir(s.RuntimeUnits), "system.control")}
}

// RemoveLimits removes what "systemctl set-property" has set for the units of an app, and returns the files. systemd makes
// them and removes them with no unit, so the next app of that name would have the limits.
func (s Store) RemoveLimits(a units.App) (removed []string, err error) {
	for _, parent := range s.limitDirs() {
		dirs, err := os.ReadDir(parent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, pathError("reading", parent, err)
		}
		for _, d := range dirs {
			unit, found := strings.CutSuffix(d.Name(), ".d")
			if !found || !d.IsDir() || !hasUnit(a, unit) {
				continue
			}
			files, err := removeSet(filepath.Join(parent, d.Name()))
			removed = append(removed, files...)
			if err != nil {
				return removed, err
			}
		}
		if len(removed) > 0 {
			_ = os.Remove(parent) // unless something else is in it
		}
	}
	return removed, nil
}

// hasUnit reports whether a unit is one of the app's.
func hasUnit(a units.App, unit string) bool {
	instance := strings.HasPrefix(unit, string(a.Name)+"@") && strings.HasSuffix(unit, ".service")
	return instance || unit == a.Name.Service() || unit == a.Name.Slice() || slices.Contains(a.Sockets(), unit)
}

// removeSet removes the files of "systemctl set-property" in a directory, and the directory if nothing else is in it.
func removeSet(dir string) (removed []string, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, pathError("reading", dir, err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(path)
		if err != nil || !f.Type().IsRegular() || !bytes.HasPrefix(data, []byte(setByProperty)) {
			continue // of somebody else
		}
		if err := os.Remove(path); err != nil {
			return removed, pathError("removing", path, err)
		}
		removed = append(removed, path)
	}
	_ = os.Remove(dir)
	return removed, nil
}
