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
	"golang.org/x/sys/unix"
)

// WriteRuntime writes a unit that exists until the next boot, and returns a function that removes the unit. WriteRuntime
// replaces a unit of the same name that a killed command left. If clusterctl did not generate that unit, WriteRuntime
// returns a [*ForeignError]. After an error, the old file is unchanged.
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
	// Write the file under a name that systemd ignores, and rename it when it is complete.
	temp := path + contract.NewSuffix
	if err = os.WriteFile(temp, f.Data, 0o644); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
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

// extraFields returns the path of the file in which PID 1 stores the LogExtraFields= of a unit for journald. After a
// daemon-reload, PID 1 no longer removes this file, so clusterctl removes it.
func (s Store) extraFields(unit string) string {
	return filepath.Join(filepath.Dir(s.RuntimeUnits), "units", "log-extra-fields:"+unit)
}

// RemoveRuntime removes a unit that WriteRuntime has written, even in another process. RemoveRuntime ignores a unit that
// does not exist or belongs to another app.
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

// NewReport creates an empty file for the report of a probe. The file belongs to root. NewReport returns its path and a
// function that removes the file.
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

// runtimeState returns the two directories of an app in /run. The second directory is the RuntimeDirectory= of instances
// with a dynamic user (systemd.exec(5)). Earlier versions of clusterctl set RuntimeDirectory=.
func (s Store) runtimeState(app units.Name) []string {
	private := filepath.Join(filepath.Dir(s.Run), "private", filepath.Base(s.Run))
	return []string{filepath.Join(s.Run, string(app)), filepath.Join(private, string(app))}
}

// RemoveRuntimeState removes the files in /run of the instances of a stopped app. After an error, the remaining files
// disappear at the next boot.
func (s Store) RemoveRuntimeState(app units.Name) error {
	for _, dir := range s.runtimeState(app) {
		if err := os.RemoveAll(dir); err != nil {
			return &Error{Op: "removing", Path: dir, Err: err}
		}
		// Remove the parent directory if it is empty.
		if parent := filepath.Dir(dir); parent != s.Run {
			_ = os.Remove(parent)
		}
	}
	return nil
}

// ForgetRuns removes the shim's records of short runs, so that the shim does not delay the next start. Without instances,
// ForgetRuns removes the records of all instances of the app.
func (s Store) ForgetRuns(app units.Name, only ...int) error {
	dir := s.runtimeState(app)[0]
	files, err := readDir(dir)
	if err != nil {
		return err
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

// RemoveInstanceState removes the files in /run of the given instances, which must be stopped.
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

// ProbeValues returns the path of the values file for the probe of an app. The file exists only during the probe.
func (s Store) ProbeValues(app units.Name) string {
	return filepath.Join(s.Run, "."+string(app)+".probe.env")
}

// WriteProbeValues writes the values file for a probe. Only root can read the file.
func (s Store) WriteProbeValues(app units.Name, data []byte) error {
	return retry(func() error {
		d, err := s.ensure(s.Run, dirMode)
		if err != nil {
			return err
		}
		defer d.close()
		return d.create(filepath.Base(s.ProbeValues(app)), data, attrs{mode: secretMode})
	})
}

// RemoveProbeValues removes the values file of a probe if it exists.
func (s Store) RemoveProbeValues(app units.Name) error {
	return s.inDirectory(s.Run, func(d *dir) error { return d.remove(filepath.Base(s.ProbeValues(app))) })
}

// extraDir returns the directory of the marks of extra instances.
func (s Store) extraDir() string { return filepath.Join(s.Run, contract.ExtraDirectory) }

func extraName(app units.Name, instance int) string {
	return string(app) + "@" + strconv.Itoa(instance)
}

// MarkExtra marks extra instances: instances that run although the units do not list them, or although the machine has too
// few CPUs for their ConditionCPUs=. MarkExtra must be called before the instances start. If the command is killed after
// that, the next command finds the marks and stops these instances. The lock of the app must be held.
func (s Store) MarkExtra(app units.Name, instances ...int) error {
	return retry(func() error {
		d, err := s.ensure(s.extraDir(), dirMode)
		if err != nil {
			return err
		}
		defer d.close()
		for _, i := range instances {
			if err := d.create(extraName(app, i), []byte(s.Command+"\n"), attrs{mode: fileMode}); err != nil {
				return err
			}
		}
		return nil
	})
}

// UnmarkExtra removes the marks of instances that have stopped, or that the units list now.
func (s Store) UnmarkExtra(app units.Name, instances ...int) error {
	return s.inDirectory(s.extraDir(), func(d *dir) error {
		for _, i := range instances {
			if err := d.remove(extraName(app, i)); err != nil {
				return err
			}
		}
		return s.removeEmptyBase(s.extraDir(), dirMode)
	})
}

// [Store.Extra] returns the marked instances of an app, sorted. If the caller holds the lock of the app, a killed command
// has left these marks.
func (s Store) Extra(app units.Name) ([]int, error) {
	entries, err := readDir(s.extraDir())
	if err != nil {
		return nil, err
	}
	var instances []int
	for _, e := range entries {
		if name, i, err := units.ParseInstance(e.Name()); err == nil && name == app && i > 0 {
			instances = append(instances, i)
		}
	}
	slices.Sort(instances)
	return instances, nil
}

// RemoveSocket removes the file of a closed Unix socket, and ignores other and missing files. The user of a worker may own
// the directories above the socket, so RemoveSocket does not follow symbolic links.
func RemoveSocket(path string) error {
	// /var/run is a symbolic link to /run, so systemd created the socket below /run.
	if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
		path = "/run/" + rest
	}
	dir, err := unix.Openat2(unix.AT_FDCWD, filepath.Dir(path), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.ELOOP) {
		err = errors.New("a directory in the path is a symbolic link")
	}
	if err != nil {
		return &Error{Op: "removing the socket", Path: path, Err: err}
	}
	defer unix.Close(dir)
	base := filepath.Base(path)
	var stat unix.Stat_t
	if err = unix.Fstatat(dir, base, &stat, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return nil
		}
		err = unix.Unlinkat(dir, base, 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return &Error{Op: "removing the socket", Path: path, Err: err}
	}
	return nil
}
