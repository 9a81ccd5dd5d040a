package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// An app may have come with a Debian package of its own (package apppkg says what is where then). It can be looked at,
// started and stopped like any other, but its files are dpkg's: they are never changed from here.

// PackagedError is a change to the files of an app that came with a package.
type PackagedError struct{ App units.Name }

func (e *PackagedError) Error() string {
	return fmt.Sprintf("the app %q came with a Debian package, and only a package changes its files", e.App)
}

// Hint says what to type instead.
func (e *PackagedError) Hint() string {
	return fmt.Sprintf("install a newer package of it, or sudo apt-get remove %s",
		strings.ReplaceAll(strings.ToLower(string(e.App)), "_", "-"))
}

// Packaged says whether the app came with a package. A source in [Store.Config] goes before that.
func (s Store) Packaged(app units.Name) bool {
	if s.Packages == "" {
		return false
	}
	if _, err := os.Lstat(s.ConfigPath(app)); err == nil {
		return false
	}
	info, err := os.Lstat(filepath.Join(s.Packages, string(app)))
	return err == nil && info.IsDir()
}

// release is the directory of the release that is in force.
func (s Store) release(app units.Name) string {
	path := filepath.Join(s.Releases, string(app), "current")
	if _, err := os.Lstat(path); err != nil && s.Former != "" {
		former := filepath.Join(s.Former, string(app), "current")
		if _, err := os.Lstat(former); err == nil {
			return former
		}
	}
	return path
}

// SourcePath is where the source of an app is, that of a package included.
func (s Store) SourcePath(app units.Name) string {
	if s.Packaged(app) {
		return filepath.Join(s.release(app), "clusterctl.yaml")
	}
	return s.ConfigPath(app)
}

// UnitPath is where a file of an app's units is, by its path in a [units.Set].
func (s Store) UnitPath(app units.Name, rel string) string {
	if !s.Packaged(app) {
		return filepath.Join(s.Units, rel)
	}
	path := filepath.Join(s.release(app), "units", rel)
	if _, err := os.Lstat(path); err == nil {
		return path
	}
	// The aggregate alone is in no release, since a link cannot be enabled. On Debian 11, /lib may be a directory of its own.
	for _, dir := range []string{"/usr/lib/systemd/system", "/lib/systemd/system"} {
		path = filepath.Join(dir, rel)
		if _, err := os.Lstat(path); err == nil {
			break
		}
	}
	return path
}

// loadPackaged reads the source of an app from its package.
func (s Store) loadPackaged(app units.Name) (units.App, error) {
	path := s.SourcePath(app)
	data, err := os.ReadFile(path)
	if err != nil {
		return units.App{}, pathError("reading", path, err)
	}
	return decode(app, path, data)
}

// packagedApps lists the apps that came with packages, unsorted.
func (s Store) packagedApps() ([]units.Name, error) {
	if s.Packages == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.Packages)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError("reading", s.Packages, err)
	}
	var apps []units.Name
	for _, e := range entries {
		name, err := units.ParseName(e.Name())
		// Between the unpacking and the first configuring there is no release yet.
		if _, statErr := os.Stat(filepath.Join(s.release(name), "clusterctl.yaml")); err == nil && statErr == nil && s.Packaged(name) {
			apps = append(apps, name)
		}
	}
	return slices.Clip(apps), nil
}
