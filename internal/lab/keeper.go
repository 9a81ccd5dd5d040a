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

// keeperEnv holds the keeperConfig of a re-executed process.
const keeperEnv = "CLUSTERCTL_LAB_KEEPER"

// The descriptors that a keeper inherits.
const (
	keeperControl = 3 // read end of a pipe: end of file means stop
	keeperLock    = 4 // flock on the machine's directory, held while the keeper lives
	keeperImage   = 5 // shared flock on the image
)

// exitReboot is how systemd-nspawn --keep-unit says that the machine wants to
// be started again (systemd.service(5) of systemd-nspawn@.service,
// RestartForceExitStatus=133).
const exitReboot = 133

// keeperConfig is what a keeper is told.
type keeperConfig struct {
	Name    string // of the machine, its directory and its cgroups
	Dir     string // the machine's directory in the cache
	Image   string // the directory of the image
	Cgroups cgroups
	UUID    string   // machine-id, 32 hexadecimal digits
	Args    []string // more arguments for systemd-nspawn
	Plain   bool     // without the generators of the image's systemd
}

// keeper is the process that owns one machine. It is PID 1 of a PID namespace
// and has a mount namespace of its own, so that the kernel itself keeps the
// promise that nothing outlives the test: when the keeper is gone, however
// it went, so are all processes of the machine and all of its mounts. It goes when
// the pipe to the test process closes, which also happens by itself when that
// process is killed. (PR_SET_PDEATHSIG would not do: it follows the thread that forked,
// and systemd-nspawn does not hand it down to the machine's init.)
type keeper struct {
	keeperConfig
	work string // a tmpfs in our mount namespace: the overlay and its upper layer
}

// runKeeper does the work of a keeper and returns its exit status. What it has
// to say goes to stderr, which is the machine's console file.
func runKeeper() int {
	var k keeper
	if err := json.Unmarshal([]byte(os.Getenv(keeperEnv)), &k.keeperConfig); err != nil {
		fmt.Fprintf(os.Stderr, "lab keeper: reading the configuration: %v\n", err)
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

// mount builds the machine's root: the image below, a tmpfs above. Neither is
// seen outside of this process's mount namespace; the test reaches the root
// through /proc/PID/root of the machine's init.
func (k *keeper) mount() error {
	sub := func(s string) string { return filepath.Join(k.work, s) }
	steps := []struct{ source, target, kind, data string }{
		{"proc", "/proc", "proc", ""}, // shows the PIDs of our namespace, as systemd-nspawn expects
		{"tmpfs", k.work, "tmpfs", "mode=0755"},
		{"overlay", sub("root"), "overlay", "lowerdir=" + k.Image + ",upperdir=" + sub("upper") + ",workdir=" + sub("work")},
		{"tmpfs", "/run", "tmpfs", "mode=0755"}, // systemd-nspawn keeps locks and sockets per machine there
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

// prepare gives the machine an identity. A machine-id in place also keeps
// systemd from treating this as a first boot, where it would enable every unit
// by preset.
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

// maskPathUnits masks path units that wait for passwords to be asked, which never happens in a machine. Each takes an inotify
// instance; all machines share 128 (fs.inotify.max_user_instances), and a unit that gets none is "failed".
func maskPathUnits(root string) error {
	units := filepath.Join(root, "etc/systemd/system")
	for _, name := range []string{"systemd-ask-password-console.path", "systemd-ask-password-wall.path"} {
		if err := os.Symlink("/dev/null", filepath.Join(units, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// maskGenerators keeps systemd from running its generators (systemd.generator(7)): there is nothing in a machine for them
// to find, and they are some ten processes at each of the thousands of daemon-reloads that the tests do.
func maskGenerators(root string) error {
	const dir = "systemd/system-generators"
	masks := filepath.Join(root, "etc", dir)
	if err := os.MkdirAll(masks, 0o755); err != nil {
		return err
	}
	for _, lib := range []string{"usr/lib", "lib"} { // one directory, unless /usr is not merged
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

// boot runs systemd-nspawn once, until the machine is off, wants to be started
// again, or the test wants it to end.
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

// cleanup ends everything in this PID namespace and removes what a mount
// namespace does not take with it.
func (k *keeper) cleanup() error {
	// As PID 1 of the namespace, -1 is all of it, machines inside included, and
	// nothing else.
	if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing the machine: %w", err)
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			break // ECHILD: no process is left
		}
	}
	err := k.Cgroups.destroy()
	if uerr := unix.Unmount(k.work, unix.MNT_DETACH); uerr != nil && !errors.Is(uerr, unix.EINVAL) {
		return errors.Join(err, fmt.Errorf("unmounting %s: %w", k.work, uerr))
	}
	return errors.Join(err, os.RemoveAll(k.Dir), removeLock(k.Dir))
}

// keeperProcess is the test's side of a keeper.
type keeperProcess struct {
	cmd     *exec.Cmd
	control *os.File      // closing it ends the machine
	gone    chan struct{} // closed when the keeper has ended
	console *os.File      // what systemd-nspawn and the keeper said; outlives the file's name
	once    sync.Once
}

// startKeeper re-executes this program as the keeper of a machine. The locks
// are inherited; the caller still owns its own copies.
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
	k := &keeperProcess{control: w, console: console, gone: make(chan struct{})}
	k.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"lab-keeper", cfg.Name},
		Env:        []string{keeperEnv + "=" + string(data), "PATH=" + os.Getenv("PATH")},
		Stdout:     console,
		Stderr:     console,
		ExtraFiles: []*os.File{r, lock, image},
		Dir:        "/",
		SysProcAttr: &syscall.SysProcAttr{
			// A session of its own: Ctrl-C in the terminal is for the test process,
			// whose end is the keeper's sign to clean up.
			Setsid:       true,
			Cloneflags:   unix.CLONE_NEWPID,
			Unshareflags: unix.CLONE_NEWNS, // syscall makes / private as well
		},
	}
	if err := k.cmd.Start(); err != nil {
		w.Close()
		console.Close()
		return nil, fmt.Errorf("starting the machine's keeper: %w", err)
	}
	go func() {
		_ = k.cmd.Wait()
		close(k.gone)
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
