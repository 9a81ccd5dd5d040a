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

// setByProperty is the start of each file that "systemctl set-property" writes.
const setByProperty = `# This is a drop-in unit file extension, created via "systemctl set-property"`

// limitDirs returns the directories of the files that "systemctl set-property" writes. The files in the first directory are
// permanent, and the files in the second one disappear at the next boot.
func (s Store) limitDirs() []string {
	return []string{filepath.Join(filepath.Dir(s.Units), "system.control"), filepath.Join(filepath.Dir(s.RuntimeUnits), "system.control")}
}

// RemoveLimits removes the files that "systemctl set-property" has written for the units of an app, and returns their paths.
// systemd does not remove these files when a unit is removed, so they would apply to the next app of the same name.
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
			_ = os.Remove(parent) // the removal fails if the directory is not empty
		}
	}
	return removed, nil
}

// hasUnit reports whether a unit belongs to the app.
func hasUnit(a units.App, unit string) bool {
	instance := strings.HasPrefix(unit, string(a.Name)+"@") && strings.HasSuffix(unit, ".service")
	return instance || unit == a.Name.Service() || unit == a.Name.Slice() || slices.Contains(a.Sockets(), unit)
}

// removeProperties removes the files of "systemctl set-property" in a directory, and then the directory if it is empty.
func removeProperties(dir string) (removed []string, err error) {
	files, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(path)
		if err != nil || !f.Type().IsRegular() || !bytes.HasPrefix(data, []byte(setByProperty)) {
			continue // "systemctl set-property" has not written this file
		}
		if err := os.Remove(path); err != nil {
			return removed, pathError("removing", path, err)
		}
		removed = append(removed, path)
	}
	_ = os.Remove(dir)
	return removed, nil
}

// EnableLinks returns the symbolic links that "systemctl enable" has created for the units of an app (in NAME.wants/ and
// NAME.requires/), sorted.
func (s Store) EnableLinks(app units.Name) ([]string, error) {
	var links []string
	for _, pattern := range []string{"*.wants", "*.requires"} {
		// Ignore the error: Glob returns an error only for an invalid pattern, and skips directories that it cannot read.
		dirs, _ := filepath.Glob(filepath.Join(escapeGlob(s.Units), pattern))
		for _, d := range dirs {
			entries, err := readDir(d)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if path := filepath.Join(d, e.Name()); e.Type() == fs.ModeSymlink && s.isEnableLink(app, path) {
					links = append(links, path)
				}
			}
		}
	}
	slices.Sort(links)
	return links, nil
}

// isEnableLink reports whether a symbolic link leads to a unit file of the app. The file need not exist.
func (s Store) isEnableLink(app units.Name, link string) bool {
	target, err := os.Readlink(link)
	if err != nil {
		return false
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	unit, name := filepath.Base(target), filepath.Base(link)
	if filepath.Clean(target) != filepath.Join(s.Units, unit) || !ownPath(app, unit) {
		return false
	}
	if name != unit && !(unit == app.Template() && instanceOf(name, []string{unit})) {
		return false
	}
	_, _, err = s.readOwn(app, unitArea, unit)
	if errors.Is(err, fs.ErrNotExist) {
		// A missing app-NAME.socket may have been a unit of another app.
		return !strings.HasSuffix(unit, ".socket") || unit == string(app)+".socket"
	}
	return err == nil
}

// escapeGlob escapes the special characters of patterns in a directory name.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// RemoveLinks removes the links that EnableLinks returns, for an uninstall while systemd is not running. RemoveLinks returns
// the paths of the removed links. After an error, some links may remain, and RemoveLinks can be called again.
func (s Store) RemoveLinks(app units.Name) (removed []string, err error) {
	links, err := s.EnableLinks(app)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if err := os.Remove(l); err != nil {
			return removed, pathError("removing", l, err)
		}
		removed = append(removed, l)
	}
	return removed, nil
}
