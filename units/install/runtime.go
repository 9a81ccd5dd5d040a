package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/units"
)

// WriteRuntime writes a unit that is only needed for a moment, and returns what removes it. One of the same name that an
// earlier command left when it was killed is replaced; a file that is not ours is refused. After an error nothing has
// changed.
func (s Store) WriteRuntime(f units.File) (remove func() error, err error) {
	path := filepath.Join(s.RuntimeUnits, f.Path)
	old, err := os.ReadFile(path)
	switch {
	case err == nil && units.Owner(units.File{Path: f.Path, Data: old}) == "":
		return nil, &ForeignError{Path: path}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, &Error{Op: "reading", Path: path, Err: err}
	}
	if err := os.MkdirAll(s.RuntimeUnits, 0o755); err != nil {
		return nil, &Error{Op: "creating", Path: s.RuntimeUnits, Err: err}
	}
	// A name that systemd takes for no unit, renamed when it is whole.
	temp := path + contract.NewSuffix
	if err := os.WriteFile(temp, f.Data, 0o644); err != nil {
		_ = os.Remove(temp)
		return nil, &Error{Op: "writing", Path: path, Err: err}
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return nil, &Error{Op: "writing", Path: path, Err: err}
	}
	return func() error {
		for _, path := range []string{path, s.extraFields(f.Path)} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return &Error{Op: "removing", Path: path, Err: err}
			}
		}
		return nil
	}, nil
}

// extraFields is where PID 1 leaves the LogExtraFields= of a unit for journald. PID 1 forgets the file at a daemon-reload, so
// it would stay until the next boot.
func (s Store) extraFields(unit string) string {
	return filepath.Join(filepath.Dir(s.RuntimeUnits), "units", "log-extra-fields:"+unit)
}

// RemoveRuntime removes a unit that WriteRuntime has written, also in a command that was killed since. One that is not
// there, or not of this app, stays as it is.
func (s Store) RemoveRuntime(app units.Name, unit string) error {
	path := filepath.Join(s.RuntimeUnits, unit)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && units.Owner(units.File{Path: unit, Data: data}) != app {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return pathError("removing", path, err)
	}
	return nil
}

// NewReport makes an empty file of root's for the report of a probe. It returns its path and what removes it.
func (s Store) NewReport(app units.Name) (path string, remove func(), err error) {
	path = filepath.Join(s.Run, contract.ReportPath(string(app)))
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return "", nil, &Error{Op: "creating", Path: filepath.Dir(path), Err: err}
	}
	if err := os.RemoveAll(path); err != nil {
		return "", nil, &Error{Op: "removing", Path: path, Err: err}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", nil, &Error{Op: "creating", Path: path, Err: err}
	}
	_ = f.Close()
	return path, func() { _ = os.Remove(path) }, nil
}

// runtimeState are the places of what an app has in /run. Former versions also had a RuntimeDirectory= for each instance,
// which for a dynamic user is in the second place (systemd.exec(5), RuntimeDirectory=).
func (s Store) runtimeState(app units.Name) []string {
	private := filepath.Join(filepath.Dir(s.Run), "private", filepath.Base(s.Run))
	return []string{filepath.Join(s.Run, string(app)), filepath.Join(private, string(app))}
}

// RemoveRuntimeState removes what the instances of an app that is stopped left in /run. What could not be removed after an
// error is gone at the next boot.
func (s Store) RemoveRuntimeState(app units.Name) error {
	for _, dir := range s.runtimeState(app) {
		if err := os.RemoveAll(dir); err != nil {
			return &Error{Op: "removing", Path: dir, Err: err}
		}
		// The parent goes with the last app in it.
		if parent := filepath.Dir(dir); parent != s.Run {
			_ = os.Remove(parent)
		}
	}
	return nil
}

// ForgetRuns removes what the shim remembers of the short runs of some instances of an app, or of all when none is named;
// their next start does not wait.
func (s Store) ForgetRuns(app units.Name, only ...int) error {
	dir := s.runtimeState(app)[0]
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &Error{Op: "reading", Path: dir, Err: err}
	}
	for _, f := range files {
		number, found := strings.CutSuffix(f.Name(), contract.BackoffSuffix)
		n, err := strconv.Atoi(number)
		if !found || err != nil || len(only) > 0 && !slices.Contains(only, n) {
			continue
		}
		path := filepath.Join(dir, f.Name())
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &Error{Op: "removing", Path: path, Err: err}
		}
	}
	return nil
}

// RemoveInstanceState removes what single instances that are stopped left in /run.
func (s Store) RemoveInstanceState(app units.Name, instances ...int) error {
	for _, dir := range s.runtimeState(app) {
		for _, i := range instances {
			for _, suffix := range append(contract.StateSuffixes(), "") {
				path := filepath.Join(dir, strconv.Itoa(i)+suffix)
				if err := os.RemoveAll(path); err != nil {
					return &Error{Op: "removing", Path: path, Err: err}
				}
			}
		}
	}
	return nil
}

// ProbeValues is the file with the values of variables for the probe of an app. It is gone when the probe has ended.
func (s Store) ProbeValues(app units.Name) string {
	return filepath.Join(s.Run, "."+string(app)+".probe.env")
}

// WriteProbeValues writes that file for root alone.
func (s Store) WriteProbeValues(app units.Name, data []byte) error {
	return retry(func() error {
		d, err := s.ensure(s.Run, dirMode)
		if err != nil {
			return err
		}
		defer d.close()
		return d.create(filepath.Base(s.ProbeValues(app)), data, secretMode)
	})
}

// RemoveProbeValues removes the file if it is there.
func (s Store) RemoveProbeValues(app units.Name) error {
	d, err := s.open(s.Run)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	return d.remove(filepath.Base(s.ProbeValues(app)))
}
