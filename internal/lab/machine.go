package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab/image"
	"github.com/clusterctl/clusterctl/internal/lab/patience"
)

// Time limits on an idle host. The longest measured boot took 2 s, or a minute with the build of the image. The limits only
// ensure that a hung machine does not block the tests forever.
const (
	openTimeout = 15 * time.Minute // including the build of its image
	bootTimeout = 5 * time.Minute
	stopTimeout = 3 * time.Minute
)

// Machine is one booted systemd.
type Machine struct {
	name    string
	release Release
	dir     string
	cgroups cgroups
	keeper  *keeperProcess
	monitor *bootMonitor
	equip   sync.Once

	mu  sync.Mutex
	pid int // host PID of the machine's init; a reboot changes it
}

// Equip calls the function f if this is the first call of Equip for the machine. f installs programs and files for the tests
// of a package. Other callers wait until f has returned.
func (m *Machine) Equip(f func()) { m.equip.Do(f) }

// Option changes how a machine is booted.
type Option func(*keeperConfig)

// NspawnArgs adds arguments of systemd-nspawn(1), such as --bind=.
func NspawnArgs(args ...string) Option {
	return func(c *keeperConfig) { c.Args = append(c.Args, args...) }
}

// Open boots a machine and returns when its boot is complete. Open is for programs that are not tests. The caller must call
// Close, and main must call Reexec first.
func Open(ctx context.Context, release Release, log io.Writer, opts ...Option) (*Machine, error) {
	ctx, cancel := patience.WithTimeout(ctx, openTimeout)
	defer cancel()
	if os.Geteuid() != 0 {
		return nil, errors.New("booting a machine needs root")
	}
	img, err := image.Ensure(ctx, release, log)
	if err != nil {
		return nil, err
	}
	defer img.InUse.Close()
	m, err := start(img, opts)
	if err != nil {
		return nil, fmt.Errorf("starting a %s machine: %w", release, err)
	}
	if err := m.awaitBoot(ctx, 1); err != nil {
		err = fmt.Errorf("booting %s: %w\n%s", release, err, m.keeper.output())
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// The function start creates the machine's directory and cgroups and starts its keeper.
func start(img *image.Image, opts []Option) (_ *Machine, err error) {
	run := filepath.Join(image.CacheDir(), "run")
	dir, lock, err := createDir(run, "lab-"+string(img.Release)+"-")
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	m := &Machine{name: filepath.Base(dir), release: img.Release, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, discard(dir))
		}
	}()
	if m.cgroups, err = findCgroups(m.name); err != nil {
		return nil, err
	}
	if err = os.Mkdir(filepath.Join(dir, "m"), 0o755); err != nil {
		return nil, err
	}
	if err = m.cgroups.create(); err != nil {
		return nil, err
	}
	if m.monitor, err = monitorBoots(filepath.Join(dir, "notify")); err != nil {
		return nil, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	cfg := keeperConfig{Name: m.name, Dir: dir, Image: img.Dir, Cgroups: m.cgroups, UUID: hex.EncodeToString(id[:])}
	for _, o := range opts {
		o(&cfg)
	}
	if m.keeper, err = startKeeper(cfg, lock, img.InUse); err != nil {
		m.monitor.close()
		return nil, err
	}
	return m, nil
}

// awaitBoot waits for boot number n of the machine: first for READY=1, which systemd sends when the boot is complete, then
// for the result of systemctl is-system-running.
func (m *Machine) awaitBoot(ctx context.Context, n int) error {
	ctx, cancel := patience.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := m.monitor.await(ctx, n, m.keeper.ended); err != nil {
		return err
	}
	pid, err := m.findInit()
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.pid = pid
	m.mu.Unlock()
	r := m.Run(ctx, "systemctl", "is-system-running", "--wait")
	switch state := strings.TrimSpace(r.Stdout); state {
	case "running", "degraded":
		return nil
	default:
		return fmt.Errorf("systemctl is-system-running: %q %s", state, r.Stderr)
	}
}

// Close kills all processes of the machine and removes its files.
func (m *Machine) Close() error {
	k := m.keeper
	var err error
	k.once.Do(func() {
		k.control.Close()
		select {
		case <-k.ended:
		case <-patience.After(stopTimeout):
			err = fmt.Errorf("the keeper of %s did not end in %v and was killed\n%s", m.name, stopTimeout, k.output())
			_ = k.cmd.Process.Kill()
			<-k.ended
		}
		m.monitor.close()
		if _, serr := os.Stat(m.dir); serr == nil {
			// The keeper failed, and its namespaces have ended.
			err = errors.Join(err, fmt.Errorf("the keeper did not remove %s\n%s", m.dir, k.output()),
				discard(m.dir))
		}
		k.console.Close()
	})
	return err
}
