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

// Store says where things are. Its methods do not change it.
type Store struct {
	// Units is where the units go, /etc/systemd/system.
	Units string
	// Config holds NAME.yaml, the source of each app: /etc/clusterctl.
	Config string
	// Journal holds the limits of journals that apps have for themselves, journald@NAMESPACE.conf: /etc/systemd. Without it
	// an app cannot have one.
	Journal string
	// State holds the revisions and the intents: /var/lib/clusterctl.
	State string
	// Run holds the locks, and what the shim notes about the instances: /run/clusterctl.
	Run string
	// RuntimeUnits is where units live that no boot finds again: /run/systemd/system.
	RuntimeUnits string
	// Packages holds a directory for each app that came with a Debian package, /usr/lib/clusterctl-apps, and Releases what is
	// in force of it, /opt/clusterctl-apps/NAME/current; both empty where there are none. Former is the directory that
	// packages of an earlier clusterctl used instead of Releases, /opt/NAME/current.
	Packages, Releases, Former string
	// Command names this process to others that wait for its lock or find its intent, for example
	// "clusterctl scale shop 4".
	Command string
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// fault is called before each step that changes the disk; tests end the process there.
	fault func(step string)
}

// System is the store of the system manager.
func System() Store {
	return Store{
		Units: "/etc/systemd/system", Journal: "/etc/systemd", Config: "/etc/clusterctl", State: "/var/lib/clusterctl",
		Run: contract.RunDirectory, RuntimeUnits: "/run/systemd/system",
		Packages: "/usr/lib/clusterctl-apps", Releases: "/opt/clusterctl-apps", Former: "/opt",
	}
}

const sourceSuffix = ".yaml"

// ConfigPath is the source of an app, NAME.yaml.
func (s Store) ConfigPath(app units.Name) string {
	return filepath.Join(s.Config, string(app)+sourceSuffix)
}

// Apps lists the apps that have a source, sorted. There is no error when there is no directory.
func (s Store) Apps() ([]units.Name, error) {
	apps, err := s.packagedApps()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.Config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, pathError("reading", s.Config, err)
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

// Listed returns how many instances the aggregate of an app names. Without a list it is an [*InstanceListError].
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

// Load reads the source of an app. An app that is not installed is a [*NotInstalledError], what is wrong in the file is
// a [config.Errors], and a link in its place is a [*ForeignError]. The values of variables are hidden from those who may not
// read them.
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

// ValuesPath is the file with the values of an app's variables, NAME.env.
func (s Store) ValuesPath(app units.Name) string { return filepath.Join(s.Config, app.ValuesFile()) }

// fillValues gives hidden variables their values. For those who may not read the file they stay hidden, as do variables that
// have no line in it: who repairs an app must be able to load it.
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

// decode reads a source that is to hold one app, of that name.
func decode(app units.Name, path string, data []byte) (units.App, error) {
	apps, err := config.Decode(path, data)
	if err != nil {
		return units.App{}, err
	}
	if len(apps) != 1 {
		return units.App{}, config.Errors{{File: path, Field: "apps",
			Message: fmt.Sprintf("holds %d apps, but is the source of one, %q", len(apps), app)}}
	}
	if apps[0].Name != app {
		return units.App{}, config.Errors{{
			File: path, Field: "name", Message: fmt.Sprintf("%q is not the name of the file, %q", apps[0].Name, app),
			Advice: fmt.Sprintf("write name: %s", app),
		}}
	}
	return apps[0], nil
}

// now is the time, for intents and locks.
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
