package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// keeperEnv is the environment variable with the keeperConfig of a keeper process.
const keeperEnv = "CLUSTERCTL_LAB_KEEPER"

// The descriptors that a keeper inherits.
const (
	keeperControl = 3 // read end of a pipe; at its end of file, the keeper stops the machine
	keeperLock    = 4 // flock on the lock file of the machine's directory
	keeperImage   = 5 // shared flock on the image
)

// exitReboot is the exit status of systemd-nspawn --keep-unit when the machine reboots (RestartForceExitStatus=133 in
// systemd-nspawn@.service).
const exitReboot = 133

// keeperConfig is the configuration of a keeper.
type keeperConfig struct {
	Name    string // name of the machine, its directory and its cgroups
	Dir     string // the machine's directory in the cache
	Image   string // the directory of the image
	Cgroups cgroups
	UUID    string   // machine-id, 32 hexadecimal digits
	Args    []string // more arguments for systemd-nspawn
	Plain   bool     // mask the generators of systemd
}

// keeper is the process that runs one machine. The keeper is PID 1 of a PID namespace and has its own mount namespace. When
// the keeper ends for any reason, the kernel therefore ends all processes and mounts of the machine. The keeper ends when
// the pipe from the test process closes, which also happens when the test process is killed. (PR_SET_PDEATHSIG is not
// enough: the kernel sends the signal when the thread that forked ends, and systemd-nspawn does not set PR_SET_PDEATHSIG for
// the machine's init.)
type keeper struct {
	keeperConfig
	work string // a tmpfs in our mount namespace with the overlay and its upper layer
}

// runKeeper runs a keeper and returns its exit status. runKeeper prints messages to stderr, which is the console file of the
// machine.
func runKeeper() int {
	var k keeper
	if err := json.Unmarshal([]byte(os.Getenv(keeperEnv)), &k.keeperConfig); err != nil {
		fmt.Fprintf(os.Stderr, "lab keeper: invalid configuration: %v\n", err)
		return 1
	}
	for _, fd := range []int{keeperControl, keeperLock, keeperImage} {
		unix.CloseOnExec(fd)
	}
	k.work = filepath.Join(k.Dir, "m")
	err := k.run()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab keeper: %v\n", err)
	}
	if cerr := k.cleanup(); cerr != nil {
		fmt.Fprintf(os.Stderr, "lab keeper: cleaning up: %v\n", cerr)
		err = errors.Join(err, cerr)
	}
	if err != nil {
		return 1
	}
	return 0
}

func (k *keeper) run() error {
	if err := k.mount(); err != nil {
		return err
	}
	if err := k.prepare(); err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(keeperControl, "control"))
		close(stop)
	}()
	for {
		again, err := k.boot(stop)
		if err != nil || !again {
			return err
		}
	}
}

// The method mount mounts the machine's root: an overlay with the image as the lower and a tmpfs as the upper layer. The
// mounts are visible only in the keeper's mount namespace. The test accesses the root through /proc/PID/root of the
// machine's init.
func (k *keeper) mount() error {
	sub := func(s string) string { return filepath.Join(k.work, s) }
	steps := []struct{ source, target, kind, data string }{
		{"proc", "/proc", "proc", ""}, // systemd-nspawn needs the PIDs of this PID namespace
		{"tmpfs", k.work, "tmpfs", "mode=0755"},
		{"overlay", sub("root"), "overlay", "lowerdir=" + k.Image + ",upperdir=" + sub("upper") + ",workdir=" + sub("work")},
		{"tmpfs", "/run", "tmpfs", "mode=0755"}, // for systemd-nspawn's locks and sockets of this machine
	}
	for _, s := range steps {
		if s.kind == "overlay" {
			for _, d := range []string{"root", "upper", "work"} {
				if err := os.Mkdir(sub(d), 0o755); err != nil {
					return err
				}
			}
		}
		if err := unix.Mount(s.source, s.target, s.kind, 0, s.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", s.kind, s.target, err)
		}
	}
	return nil
}

// The method prepare writes the machine's name and machine-id. Without a machine-id, systemd would treat the boot as a first
// boot, and enable units by preset.
func (k *keeper) prepare() error {
	root := filepath.Join(k.work, "root")
	for _, f := range []struct{ path, text string }{
		{"etc/machine-id", k.UUID + "\n"},
		{"etc/hostname", k.Name + "\n"},
		{"etc/hosts", "127.0.0.1 localhost " + k.Name + "\n::1 localhost ip6-localhost ip6-loopback\n"},
	} {
		p := filepath.Join(root, f.path)
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(p, []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	if k.Plain {
		return errors.Join(maskGenerators(root), maskPathUnits(root))
	}
	return nil
}

// maskPathUnits masks path units that wait for password requests, which never occur in a machine. Each of these units needs
// an inotify instance, or it fails. The host has 128 inotify instances for all machines (fs.inotify.max_user_instances).
func maskPathUnits(root string) error {
	units := filepath.Join(root, "etc/systemd/system")
	for _, name := range []string{"systemd-ask-password-console.path", "systemd-ask-password-wall.path"} {
		if err := os.Symlink("/dev/null", filepath.Join(units, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// maskGenerators masks systemd's generators (systemd.generator(7)). The generators have no effect in a machine, but start
// about ten processes at each daemon-reload, of which the tests make thousands.
func maskGenerators(root string) error {
	const dir = "systemd/system-generators"
	masks := filepath.Join(root, "etc", dir)
	if err := os.MkdirAll(masks, 0o755); err != nil {
		return err
	}
	for _, lib := range []string{"usr/lib", "lib"} { // the same directory if /usr is merged
		entries, err := os.ReadDir(filepath.Join(root, lib, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if err := os.Symlink("/dev/null", filepath.Join(masks, e.Name())); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// The method boot runs systemd-nspawn once. It returns when the machine is off or reboots, or when the channel stop is
// closed. boot returns true if the machine reboots.
func (k *keeper) boot(stop <-chan struct{}) (again bool, err error) {
	cmd := exec.Command("systemd-nspawn", append([]string{
		"--quiet", "--boot", "--directory=" + filepath.Join(k.work, "root"), "--machine=" + k.Name,
		"--register=no", "--keep-unit", "--notify-ready=yes", "--private-network",
		"--link-journal=no", "--resolv-conf=off", "--timezone=off", "--kill-signal=SIGRTMIN+3",
		"--system-call-filter=pidfd_getfd pidfd_open kcmp bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self",
	}, k.Args...)...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
		"NOTIFY_SOCKET=" + filepath.Join(k.Dir, "notify"),
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := k.Cgroups.enter(); err != nil {
		return false, err
	}
	err = cmd.Start()
	if lerr := k.Cgroups.leave(); err == nil {
		err = lerr
	}
	if err != nil {
		return false, fmt.Errorf("starting systemd-nspawn: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-stop:
		return false, nil
	case err = <-ended:
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitReboot {
		return true, nil
	}
	return false, err
}

// The method cleanup ends all processes in this PID namespace. cleanup also removes the files and cgroups, which the
// kernel does not remove with the namespaces.
func (k *keeper) cleanup() error {
	// For PID 1 of a namespace, -1 means all other processes in the namespace and in nested namespaces.
	if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing the machine: %w", err)
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			break // ECHILD: all children have ended
		}
	}
	err := k.Cgroups.destroy()
	if uerr := unix.Unmount(k.work, unix.MNT_DETACH); uerr != nil && !errors.Is(uerr, unix.EINVAL) {
		return errors.Join(err, fmt.Errorf("unmounting %s: %w", k.work, uerr))
	}
	return errors.Join(err, os.RemoveAll(k.Dir), removeLock(k.Dir))
}

// keeperProcess is the keeper of a machine, in the test process.
type keeperProcess struct {
	cmd     *exec.Cmd
	control *os.File      // the machine ends when this file is closed
	ended   chan struct{} // closed when the keeper has ended
	console *os.File      // output of systemd-nspawn and the keeper, also readable after the file is removed
	once    sync.Once
}

// startKeeper starts this program again as the keeper of a machine. The keeper inherits the locks. The caller must close its
// own copies of the locks.
func startKeeper(cfg keeperConfig, lock, image *os.File) (*keeperProcess, error) {
	data, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	console, err := os.OpenFile(filepath.Join(cfg.Dir, "console"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		console.Close()
		return nil, err
	}
	defer r.Close()
	k := &keeperProcess{control: w, console: console, ended: make(chan struct{})}
	k.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"lab-keeper", cfg.Name},
		Env:        []string{keeperEnv + "=" + string(data), "PATH=" + os.Getenv("PATH")},
		Stdout:     console,
		Stderr:     console,
		ExtraFiles: []*os.File{r, lock, image},
		Dir:        "/",
		SysProcAttr: &syscall.SysProcAttr{
			// The keeper gets its own session, so that Ctrl-C in the terminal ends only the test process. The keeper cleans
			// up after the end of the test process.
			Setsid:       true,
			Cloneflags:   unix.CLONE_NEWPID,
			Unshareflags: unix.CLONE_NEWNS, // package syscall also makes the mount / private
		},
	}
	if err := k.cmd.Start(); err != nil {
		w.Close()
		console.Close()
		return nil, fmt.Errorf("starting the machine's keeper: %w", err)
	}
	go func() {
		_ = k.cmd.Wait()
		close(k.ended)
	}()
	return k, nil
}

// output returns the last lines of the machine's console.
func (k *keeperProcess) output() string {
	b, err := io.ReadAll(io.NewSectionReader(k.console, 0, 1<<20))
	if err != nil {
		return err.Error()
	}
	l := strings.Split(strings.TrimRight(string(b), "\r\n"), "\n")
	return strings.Join(l[max(0, len(l)-60):], "\n")
}
