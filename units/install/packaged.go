package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusterctl/clusterctl/units"
)

// An app can be installed by a Debian package (package apppkg defines its paths). Commands can show, start and stop it like
// any other app, but its files belong to dpkg, and this package never changes them.

// PackagedError is an attempt to change the files of an app that a Debian package installed.
type PackagedError struct{ App units.Name }

func (e *PackagedError) Error() string {
	return fmt.Sprintf("the app %q was installed by a Debian package, so only a package can change its files", e.App)
}

// Hint returns what to type instead.
func (e *PackagedError) Hint() string {
	return fmt.Sprintf("install a newer package of it, or sudo apt-get remove %s",
		strings.ReplaceAll(strings.ToLower(string(e.App)), "_", "-"))
}

// Packaged reports whether a Debian package installed the app. A source in [Store.Config] has precedence.
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

// release returns the directory of the current release.
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

// SourcePath returns the path of the source of an app, which may be in a package.
func (s Store) SourcePath(app units.Name) string {
	if s.Packaged(app) {
		return filepath.Join(s.release(app), "clusterctl.yaml")
	}
	return s.ConfigPath(app)
}

// UnitPath returns the path of a unit file of an app. rel is its path in a [units.Set].
func (s Store) UnitPath(app units.Name, rel string) string {
	if !s.Packaged(app) {
		return filepath.Join(s.Units, rel)
	}
	path := filepath.Join(s.release(app), "units", rel)
	if _, err := os.Lstat(path); err == nil {
		return path
	}
	// Only the aggregate is not in the release, because systemctl cannot enable a symbolic link. On Debian 11, /lib may be a
	// directory and not a link to /usr/lib.
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

// packagedApps returns the apps that Debian packages installed, unsorted.
func (s Store) packagedApps() ([]units.Name, error) {
	entries, err := readDir(s.Packages)
	if err != nil {
		return nil, err
	}
	var apps []units.Name
	for _, e := range entries {
		name, err := units.ParseName(e.Name())
		// A package that is unpacked but not configured has no release yet.
		if _, statErr := os.Stat(filepath.Join(s.release(name), "clusterctl.yaml")); err == nil && statErr == nil && s.Packaged(name) {
			apps = append(apps, name)
		}
	}
	return slices.Clip(apps), nil
}
