package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/resolve"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// probe runs the program once, as the user and in the sandbox that the instances will have, until it listens, and returns
// what it was about to bind. It is killed before it serves anyone: what it binds are decoys.
func (e *env) probe(ctx context.Context, a units.App, times resolve.Times) (r contract.Report, err error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	lock, err := e.lock(ctx, a.Name)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, e.endProbe(a, lock)) }()
	target, err := e.targetOf(a.Name)
	if err != nil {
		return r, err
	}
	if err := e.checkSecrets(a); err != nil {
		return r, err
	}
	target.Values = e.store.ProbeValues(a.Name)
	if now, err := e.store.Load(a.Name); err == nil {
		target.Sockets = now.SocketFiles()
	}
	p, err := units.RenderProbe(a, target, times.Limit, times.Idle)
	if err != nil {
		return r, err
	}
	if len(a.Env) > 0 {
		if err := e.store.WriteProbeValues(a.Name, units.RenderValues(a)); err != nil {
			return r, err
		}
	}
	if err := e.announceProbe(ctx, conn, a, times.Limit); err != nil {
		return r, err
	}
	removeDirs, err := makeSocketDirs(a.SocketFiles())
	if err != nil {
		return r, err
	}
	defer removeDirs()
	started := e.now()
	data, err := e.runProbe(ctx, conn, a.Name, p)
	if err != nil {
		return r, explainInstance(context.WithoutCancel(ctx), err, "", started)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("reading the report of the probe: %w", err)
	}
	if err := resolve.Failure(r, a, p.Path); err != nil {
		return r, explainInstance(context.WithoutCancel(ctx), err, "", started)
	}
	return r, nil
}

// announceProbe says what is about to run, before it runs: a program without a port, such as a queue consumer, begins its
// work in the probe, and is killed in the middle of it.
func (e *env) announceProbe(ctx context.Context, conn *control.Conn, a units.App, timeout time.Duration) error {
	now, err := e.nowUp(ctx, conn, a)
	if err != nil {
		return err
	}
	var words []string
	for _, w := range a.Command {
		words = append(words, text.Shell(w))
	}
	e.note("probe: running %s once to see what it listens on, as %s, for at most %s", strings.Join(words, " "), runsAs(a),
		text.Duration(timeout))
	avoid := "--no-listen for a program without a port, or --no-probe with --listen PORT"
	if len(a.Listen) > 0 {
		avoid = "--no-probe"
	}
	e.note("probe: this is a real run, with the environment and the files of the app; to avoid it: %s", avoid)
	if n := len(now.instances); n > 0 {
		e.note("probe: %s is running (%s), and this run is beside it", a.Name, text.Count(n, "instance"))
	}
	return nil
}

// endProbe releases the lock. It removes the app's directory in /run and the lock file, since the app may never be installed.
// If another command has installed the app during the probe, endProbe keeps both.
func (e *env) endProbe(a units.App, lock *install.Lock) error {
	valuesErr := e.store.RemoveProbeValues(a.Name)
	var gone *install.NotInstalledError
	if _, err := e.store.Load(a.Name); !errors.As(err, &gone) {
		return errors.Join(valuesErr, lock.Unlock())
	}
	return errors.Join(valuesErr, e.store.RemoveRuntimeState(a.Name), lock.Remove())
}

// runProbe starts the unit of the probe and brings back its report; the unit and its file are gone afterwards.
func (e *env) runProbe(ctx context.Context, conn *control.Conn, app units.Name, unit units.File) (data []byte, err error) {
	report, removeReport, err := e.store.NewReport(app)
	if err != nil {
		return nil, err
	}
	defer removeReport()
	remove, err := e.store.WriteRuntime(unit)
	if err != nil {
		return nil, err
	}
	defer func() {
		// After an interrupt too: nothing of the probe may stay.
		clean := context.WithoutCancel(ctx)
		_, stopErr := conn.Do(clean, control.Stop, control.Replace, unit.Path)
		err = errors.Join(err, stopErr, remove(), conn.Reload(clean), conn.ResetFailed(clean, unit.Path))
	}()
	if err := conn.Reload(ctx); err != nil {
		return nil, err
	}
	outcomes, err := conn.Do(ctx, control.Start, control.Replace, unit.Path)
	if err != nil {
		return nil, err
	}
	if outcomes[0].Err != nil {
		return nil, outcomes[0].Err
	}
	if outcomes[0].Result != control.Done {
		states, err := conn.States(ctx, []string{unit.Path})
		if err != nil {
			return nil, err
		}
		return nil, &control.InstanceError{Unit: unit.Path, Reason: control.Explain(states[0]), State: states[0]}
	}
	return readReport(report)
}

// maxReport is far more than a report of the shim's is long.
const maxReport = 1 << 20

// readReport reads what the probe has written, as the user of the program: it may be anything, and of any length.
func readReport(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the report of the probe: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxReport) {
		err = errors.New("it is not what the shim writes")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the report of the probe: %w", err)
	}
	return io.ReadAll(io.LimitReader(f, maxReport))
}

// makeSocketDirs makes the directories in /run that PID 1 will make for the sockets, since the program may look for them in
// the probe. The function that it returns removes them again.
func makeSocketDirs(paths []string) (remove func(), err error) {
	var made []string
	remove = func() {
		for _, dir := range slices.Backward(made) {
			_ = os.Remove(dir) // not if somebody uses it by now
		}
	}
	for _, path := range paths {
		var missing []string
		for dir := filepath.Dir(path); strings.HasPrefix(dir, "/run/"); dir = filepath.Dir(dir) {
			missing = append(missing, dir)
		}
		for _, dir := range slices.Backward(missing) {
			err := os.Mkdir(dir, 0o755)
			if err == nil {
				made = append(made, dir)
				err = os.Chmod(dir, 0o755) // whatever our umask is
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				remove()
				return nil, fmt.Errorf("making the directory of %s for the probe: %w", path, fault.Cause(err))
			}
		}
	}
	return remove, nil
}
