package manage

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
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
)

// ProbeResult is the result of a probe.
type ProbeResult struct {
	Report contract.Report
	// Unit is the unit of the probe. The log lines of this unit after the time Started are the output of the program.
	Unit    string
	Started time.Time
}

// Probe runs the program of an app once, with the user and the sandbox of the instances. The shim gives the program decoy
// sockets, which clients cannot reach, and kills the program as soon as it listens. If the program does not listen, the shim
// kills it after the time limit. If the parameter idle is not 0, the shim kills the program as soon as it was idle for this
// time. The app need not be installed.
func (s *Session) Probe(ctx context.Context, a units.App, limit, idle time.Duration) (r ProbeResult, err error) {
	target, err := s.Store.Target(s.Name, s.Shim)
	if err != nil {
		return r, err
	}
	target.Values = s.Store.ProbeValues(s.Name)
	target.Sockets = s.app.SocketFiles()
	p, err := units.RenderProbe(a, target, limit, idle)
	if err != nil {
		return r, err
	}
	defer func() {
		err = errors.Join(err, s.Store.RemoveProbeValues(s.Name))
		if !s.Installed() { // if no install follows the probe, nothing else removes this state
			err = errors.Join(err, s.Store.RemoveRuntimeState(s.Name))
		}
	}()
	if len(a.Env) > 0 {
		if err := s.Store.WriteProbeValues(s.Name, units.RenderValues(a)); err != nil {
			return r, err
		}
	}
	removeDirs, err := makeSocketDirs(a.SocketFiles())
	if err != nil {
		return r, err
	}
	defer removeDirs()
	r = ProbeResult{Unit: p.Path, Started: s.Now()}
	data, err := s.runProbe(ctx, p)
	if err != nil {
		return r, s.Explain(context.WithoutCancel(ctx), err, "", r.Started)
	}
	if err := json.Unmarshal(data, &r.Report); err != nil {
		return r, fmt.Errorf("reading the report of the probe: %w", err)
	}
	return r, nil
}

// Running returns how many instances of the app are up.
func (s *Session) Running(ctx context.Context) (int, error) {
	up, err := s.findUpUnits(ctx, s.app)
	return len(up.instances), err
}

// runProbe runs the unit of the probe, removes the unit, and returns the report of the shim.
func (s *Session) runProbe(ctx context.Context, unit units.File) (data []byte, err error) {
	report, removeReport, err := s.Store.NewReport(s.Name)
	if err != nil {
		return nil, err
	}
	defer removeReport()
	remove, err := s.Store.WriteRuntime(unit)
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		_, stopErr := s.Conn.Do(ctx, control.Stop, control.Replace, unit.Path)
		err = errors.Join(err, stopErr, remove(), s.Conn.Reload(ctx), s.Conn.ResetFailed(ctx, unit.Path))
	}()
	if err := s.Conn.Reload(ctx); err != nil {
		return nil, err
	}
	outcomes, err := s.Conn.Do(ctx, control.Start, control.Replace, unit.Path)
	if err != nil {
		return nil, err
	}
	if outcomes[0].Err != nil {
		return nil, outcomes[0].Err
	}
	if outcomes[0].Result != control.Done {
		states, err := s.Conn.States(ctx, []string{unit.Path})
		if err != nil {
			return nil, err
		}
		return nil, &control.InstanceError{Unit: unit.Path, Reason: control.Explain(states[0]), State: states[0]}
	}
	return readReport(report)
}

// maxReport is the limit for the size of a report. A report of the shim is much smaller.
const maxReport = 1 << 20

// readReport reads the report of a probe. The program runs as a user who can replace the report, so the path may lead to a
// file of any type and size.
func readReport(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the report of the probe: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxReport) {
		err = errors.New("the shim has not written this file")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the report of the probe: %w", err)
	}
	return io.ReadAll(io.LimitReader(f, maxReport))
}

// makeSocketDirs creates the missing directories in /run for the socket files at these paths. PID 1 creates these
// directories when it opens the sockets, but the program may need them during the probe. The returned function removes the
// created directories.
func makeSocketDirs(paths []string) (remove func(), err error) {
	var made []string
	remove = func() {
		for _, dir := range slices.Backward(made) {
			_ = os.Remove(dir) // Remove fails if another process has put a file into the directory
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
				err = os.Chmod(dir, 0o755) // Mkdir applies the umask
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				remove()
				return nil, fmt.Errorf("making the directory of %s for the probe: %w", path, fault.Cause(err))
			}
		}
	}
	return remove, nil
}
