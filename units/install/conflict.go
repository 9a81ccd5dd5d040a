package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// Conflicts checks whether the unit names of the set are taken in systemd's unit path (its property UnitPath): by a file, by
// a symbolic link (an alias or a mask), or by an instance of our template. In the store's own directory it looks only for
// instances, because Plan checks the other files. A file with our mark for the same app, for example from a package, is not
// a conflict. For each name that is taken, it returns a [*ConflictError] with the first such path, joined by errors.Join.
func (s Store) Conflicts(paths []string, set units.Set) error {
	taken := map[string]bool{}
	var errs []error
	for _, dirPath := range paths {
		found, err := s.conflictsIn(dirPath, set)
		if err != nil {
			errs = append(errs, err)
		}
		for _, c := range found {
			if !taken[c.Unit] {
				taken[c.Unit] = true
				errs = append(errs, c)
			}
		}
	}
	return errors.Join(errs...)
}

// conflictsIn returns the conflicts in one directory, in the order of the file names.
func (s Store) conflictsIn(dirPath string, set units.Set) ([]*ConflictError, error) {
	entries, err := readDir(dirPath)
	if err != nil {
		return nil, err
	}
	own := sameDir(dirPath, s.Units)
	names := set.Units()
	var found []*ConflictError
	for _, e := range entries {
		unit := e.Name()
		switch {
		case slices.Contains(names, unit):
			if own || hasMark(filepath.Join(dirPath, unit), unit, set) {
				continue
			}
		case !instanceOf(unit, names):
			continue
		}
		c := &ConflictError{Unit: unit, Path: filepath.Join(dirPath, unit)}
		target, err := os.Readlink(c.Path)
		c.Masked = err == nil && target == os.DevNull
		found = append(found, c)
	}
	return found, nil
}

// instanceOf reports whether the unit is an instance of a template among the names. systemd prefers the file of an instance
// to our template.
func instanceOf(unit string, names []string) bool {
	at := strings.IndexByte(unit, '@')
	dot := strings.LastIndexByte(unit, '.')
	return at >= 0 && dot > at+1 && slices.Contains(names, unit[:at+1]+unit[dot:])
}

// hasMark reports whether a file has the mark of the set's app.
func hasMark(path, unit string, set units.Set) bool {
	want, _ := set.Get(unit)
	d, err := openDir(filepath.Dir(path))
	if err != nil {
		return false
	}
	defer d.close()
	data, _, err := d.read(unit)
	return err == nil && units.Owner(units.File{Path: unit, Data: data}) == units.Owner(units.File{Path: unit, Data: want})
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// EnableLinks returns the symbolic links by which "systemctl enable" made the units of an app start (NAME.wants/,
// NAME.requires/), sorted.
func (s Store) EnableLinks(app units.Name) ([]string, error) {
	var links []string
	for _, pattern := range []string{"*.wants", "*.requires"} {
		// Glob returns an error only for a malformed pattern, and skips directories that it cannot read.
		dirs, _ := filepath.Glob(filepath.Join(escapeGlob(s.Units), pattern))
		for _, d := range dirs {
			entries, err := readDir(d)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if path := filepath.Join(d, e.Name()); e.Type() == fs.ModeSymlink && s.enables(app, path) {
					links = append(links, path)
				}
			}
		}
	}
	slices.Sort(links)
	return links, nil
}

// enables reports whether a symbolic link leads to a unit file of the app. The file need not exist.
func (s Store) enables(app units.Name, link string) bool {
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
	_, _, err = s.look(app, unitArea, unit)
	if errors.Is(err, fs.ErrNotExist) {
		// app-NAME.socket may also belong to another app.
		return !strings.HasSuffix(unit, ".socket") || unit == string(app)+".socket"
	}
	return err == nil
}

// escapeGlob escapes a directory name, so that it is not used as a pattern.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// RemoveLinks removes the links that EnableLinks returns, for an uninstall while systemd is not running. It returns the
// removed links. After an error, some links may remain, and the caller can call it again.
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
