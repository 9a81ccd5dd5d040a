package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// Conflicts checks whether other files in systemd's unit path (its property UnitPath) have unit names of the set. Such a
// file is a unit file, a symbolic link (an alias or a mask), or the file of an instance of our template. For each unit name
// that is taken, Conflicts returns a [*ConflictError] with the first file that has this name. Several errors are joined by
// errors.Join. A file with our mark for the same app, for example from a package, is not a conflict. In the directory of the
// store, Conflicts checks only for instances, because Plan checks all other files.
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

// conflictsIn returns the conflicts in one directory, sorted by file name.
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

// instanceOf reports whether the unit is an instance of one of the named templates. systemd prefers the file of an instance
// to the template.
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

// readOwn reads a file of the app. If the file belongs to another app or to no app, readOwn returns a [*ForeignError].
func (s Store) readOwn(app units.Name, a area, rel string) ([]byte, attrs, error) {
	full := filepath.Join(s.areaDir(a), rel)
	d, err := openDir(s.areaDir(a))
	if err != nil {
		return nil, attrs{}, err
	}
	defer d.close()
	data, attributes, err := d.read(rel)
	if e, ok := errors.AsType[*Error](err); ok && !errors.Is(err, fs.ErrNotExist) {
		err = &ForeignError{Path: full, Err: e.Err}
	}
	if err != nil {
		return nil, attrs{}, err
	}
	owner := units.Owner(units.File{Path: rel, Data: data})
	if a == configArea && rel != app.ValuesFile() {
		owner = sourceOwner(app, data)
	}
	if owner != app {
		// To systemd, an empty file is a mask, like a link to /dev/null.
		return nil, attrs{}, &ForeignError{Path: full, Owner: owner, Masked: a == unitArea && len(data) == 0}
	}
	return data, attributes, nil
}

// sourceOwner returns the app to which a source belongs. The contents may be invalid, because a user may have edited a file
// that clusterctl wrote.
func sourceOwner(app units.Name, data []byte) units.Name {
	apps, err := config.Decode("", data)
	switch {
	case err == nil && len(apps) == 1:
		return apps[0].Name
	case err != nil && config.Generated(data):
		return app
	}
	return ""
}
