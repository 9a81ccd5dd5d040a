package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// Store has the paths of the directories with the files of all apps. Its methods do not change a Store.
type Store struct {
	// Units is the directory of the units, /etc/systemd/system.
	Units string
	// Config is the directory of the sources, NAME.yaml, and of the values files, NAME.env: /etc/clusterctl.
	Config string
	// Journal is the directory of the files journald@NAMESPACE.conf, which contain the limits of private journals:
	// /etc/systemd. If Journal is empty, apps cannot have private journals.
	Journal string
	// State is the directory of revisions and intents: /var/lib/clusterctl.
	State string
	// Run is the directory of locks and of the files of the shim: /run/clusterctl.
	Run string
	// RuntimeUnits is the directory of units that exist until the next boot: /run/systemd/system.
	RuntimeUnits string
	// Packages has a directory for each app that a Debian package installed: /usr/lib/clusterctl-apps. Releases has the
	// releases of these apps; the link /opt/clusterctl-apps/NAME/current leads to the current release. The field Former is
	// the directory that packages of an earlier clusterctl used instead of Releases: /opt/NAME/current. Packages, Releases
	// and Former may be empty.
	Packages, Releases, Former string
	// Command is the command line of this process, for example "clusterctl scale shop 4". Other processes print Command if
	// they wait for the lock of this process or find its intent.
	Command string
	// The function Now returns the current time; nil means time.Now.
	Now func() time.Time

	// The function fault is called before each step that changes a file. Tests use this function to end the process at a
	// step.
	fault func(step string)
}

// System returns the store with the directories of the system.
func System() Store {
	return Store{
		Units: "/etc/systemd/system", Journal: "/etc/systemd", Config: "/etc/clusterctl", State: "/var/lib/clusterctl",
		Run: contract.RunDirectory, RuntimeUnits: "/run/systemd/system",
		Packages: "/usr/lib/clusterctl-apps", Releases: "/opt/clusterctl-apps", Former: "/opt",
	}
}

const sourceSuffix = ".yaml"

// ConfigPath returns the path of the source of an app, NAME.yaml in Config.
func (s Store) ConfigPath(app units.Name) string {
	return filepath.Join(s.Config, string(app)+sourceSuffix)
}

// Apps returns the apps that have a source, sorted.
func (s Store) Apps() ([]units.Name, error) {
	apps, err := s.packagedApps()
	if err != nil {
		return nil, err
	}
	entries, err := readDir(s.Config)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), sourceSuffix)
		if name, err := units.ParseName(base); ok && err == nil && !e.IsDir() {
			apps = append(apps, name)
		}
	}
	slices.Sort(apps)
	return apps, nil
}

// [Store.Listed] returns the number of instances that NAME.service of an app lists. If the list cannot be read, the error is
// an [*InstanceListError].
func (s Store) Listed(app units.Name) (int, error) {
	path := s.UnitPath(app, app.DropIn())
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, &InstanceListError{App: app, Err: err}
	}
	if n := units.ListedInstances(data); n > 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%s lists no instances", path)
}

// Load reads the source of an app. If the app is not installed, the error is a [*NotInstalledError]. For invalid contents,
// the error is a [config.Errors], and for a symbolic link, the error is a [*ForeignError]. If the user may not read the
// values of the variables, the values are hidden.
func (s Store) Load(app units.Name) (units.App, error) {
	path := s.ConfigPath(app)
	d, err := openDir(s.Config)
	if err == nil {
		defer d.close()
		var data []byte
		if data, _, err = d.read(string(app) + sourceSuffix); err == nil {
			a, err := decode(app, path, data)
			if err == nil {
				err = d.fillValues(&a)
			}
			return a, err
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return units.App{}, err
	}
	if s.Packaged(app) {
		return s.loadPackaged(app)
	}
	apps, err := s.Apps()
	if err != nil {
		return units.App{}, err
	}
	return units.App{}, &NotInstalledError{App: app, Apps: apps}
}

// ValuesPath returns the path of the file with the values of an app's variables, NAME.env in Config.
func (s Store) ValuesPath(app units.Name) string { return filepath.Join(s.Config, app.ValuesFile()) }

// fillValues sets the values of hidden variables from the values file. A variable stays hidden if it is missing in this
// file, or if the user may not read the file. A hidden variable is not an error, because a user who repairs an app must be
// able to load the app.
func (d *dir) fillValues(a *units.App) error {
	if !slices.ContainsFunc(a.Env, func(e units.EnvVar) bool { return e.Hidden }) {
		return nil
	}
	data, _, err := d.read(a.Name.ValuesFile())
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil
	case err != nil:
		return err
	}
	a.FillValues(data)
	return nil
}

// The function decode parses a source, which must contain exactly one app, with the given name.
func decode(app units.Name, path string, data []byte) (units.App, error) {
	apps, err := config.Decode(path, data)
	if err != nil {
		return units.App{}, err
	}
	if len(apps) != 1 {
		return units.App{}, config.Errors{{File: path, Field: "apps",
			Message: fmt.Sprintf("contains %d apps, but must contain only %q", len(apps), app)}}
	}
	if apps[0].Name != app {
		return units.App{}, config.Errors{{
			File: path, Field: "name", Message: fmt.Sprintf("%q does not match the file name, %q", apps[0].Name, app),
			Advice: fmt.Sprintf("write name: %s", app),
		}}
	}
	return apps[0], nil
}

func (s Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s Store) step(format string, args ...any) {
	if s.fault != nil {
		s.fault(fmt.Sprintf(format, args...))
	}
}

// A Debian package can install an app (package apppkg defines the paths). Commands can show, start and stop such an app like
// any other. The files of such an app belong to dpkg, and this package never changes them.

// [Store.Packaged] reports whether a Debian package installed the app. [Store.Packaged] returns false if [Store.Config] has
// a source for this app, because that source has precedence.
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

// The method release returns the directory of the current release of a packaged app.
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

// SourcePath returns the path of the source of an app. The source may belong to a Debian package.
func (s Store) SourcePath(app units.Name) string {
	if s.Packaged(app) {
		return filepath.Join(s.release(app), "clusterctl.yaml")
	}
	return s.ConfigPath(app)
}

// UnitPath returns the path of a unit file of an app. The parameter rel is the path of the file in a [units.Set].
func (s Store) UnitPath(app units.Name, rel string) string {
	if !s.Packaged(app) {
		return filepath.Join(s.Units, rel)
	}
	path := filepath.Join(s.release(app), "units", rel)
	if _, err := os.Lstat(path); err == nil {
		return path
	}
	// NAME.service is not in the release, because systemctl cannot enable a symbolic link. Check both directories, because
	// on Debian 11, /lib may be a directory and not a link to /usr/lib.
	for _, dir := range []string{"/usr/lib/systemd/system", "/lib/systemd/system"} {
		path = filepath.Join(dir, rel)
		if _, err := os.Lstat(path); err == nil {
			break
		}
	}
	return path
}

func (s Store) loadPackaged(app units.Name) (units.App, error) {
	path := s.SourcePath(app)
	data, err := os.ReadFile(path)
	if err != nil {
		return units.App{}, pathError("reading", path, err)
	}
	return decode(app, path, data)
}

func (s Store) packagedApps() ([]units.Name, error) {
	entries, err := readDir(s.Packages)
	if err != nil {
		return nil, err
	}
	var apps []units.Name
	for _, e := range entries {
		name, err := units.ParseName(e.Name())
		// A package that is unpacked but not configured yet has no release.
		if _, statErr := os.Stat(filepath.Join(s.release(name), "clusterctl.yaml")); err == nil && statErr == nil && s.Packaged(name) {
			apps = append(apps, name)
		}
	}
	return slices.Clip(apps), nil
}

// inDirectory opens a directory for changes, calls the function do with the directory, and returns the error of do. If
// the directory does not exist, the result is nil.
func (s Store) inDirectory(name string, do func(*dir) error) error {
	d, err := s.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	return do(d)
}

// readDir returns the entries of a directory, sorted by name. For a directory that does not exist, readDir returns no
// entries and no error.
func readDir(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, pathError("reading", name, err)
	}
	return entries, nil
}
