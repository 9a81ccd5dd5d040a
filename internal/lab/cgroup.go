package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups are the cgroup directories of one machine, one per hierarchy. Without such directories, all machines on a host
// without systemd would share one "payload" cgroup. The systemd in a machine could then not distinguish its own services
// from the services of other machines.
type cgroups struct {
	V2 string // in the unified hierarchy
	V1 string // in name=systemd, "" if the host does not have it
}

// findCgroups returns the cgroups for a machine, in the hierarchies that systemd-nspawn uses: cgroup v2 and, if mounted, the
// v1 hierarchy name=systemd. The cgroup of a machine is a child of the root cgroup, also on a host with systemd. In cgroup
// v2, only the children of a cgroup without processes can have controllers. So the cgroup cannot be a child of our own
// cgroup, which contains our process.
func findCgroups(name string) (cgroups, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return cgroups{}, err
	}
	defer f.Close()
	var c cgroups
	for s := bufio.NewScanner(f); s.Scan(); {
		// A line has fields up to the mount point, then options, "-", the type, the source and the super options (proc(5)).
		left, right, ok := strings.Cut(s.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 || l[3] != "/" {
			continue
		}
		switch {
		case r[0] == "cgroup2" && c.V2 == "":
			c.V2 = filepath.Join(l[4], name)
		case r[0] == "cgroup" && strings.Contains(","+r[2]+",", ",name=systemd,") && c.V1 == "":
			c.V1 = filepath.Join(l[4], name)
		}
	}
	if c.V2 == "" {
		return cgroups{}, errors.New("this host has no cgroup v2 hierarchy mounted")
	}
	return c, nil
}

func (c cgroups) dirs() []string {
	if c.V1 == "" {
		return []string{c.V2}
	}
	return []string{c.V2, c.V1}
}

func (c cgroups) create() error {
	for _, d := range c.dirs() {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("creating the machine's cgroup: %w", err)
		}
	}
	// Enable the controllers, so that the limits of units have an effect. If the host uses cgroup v1 controllers, the write
	// fails (see doc.go).
	for _, controller := range []string{"+cpu", "+memory", "+pids", "+io", "+cpuset"} {
		_ = os.WriteFile(filepath.Join(filepath.Dir(c.V2), "cgroup.subtree_control"), []byte(controller), 0)
	}
	return nil
}

// The method enter moves this process into the cgroups. Children that the process starts later are in these cgroups.
func (c cgroups) enter() error {
	for _, d := range c.dirs() {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("entering the machine's cgroup: %w", err)
		}
	}
	return nil
}

// The method leave moves this process back to the root of each hierarchy.
func (c cgroups) leave() error {
	for _, d := range c.dirs() {
		if err := os.WriteFile(filepath.Join(filepath.Dir(d), "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("leaving the machine's cgroup: %w", err)
		}
	}
	return nil
}

// The method destroy kills the processes in the cgroups and removes the cgroups. A missing cgroup is not an error.
func (c cgroups) destroy() error {
	for _, d := range c.dirs() {
		if err := destroy(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func destroy(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if err := killAll(dir); err != nil {
		return err
	}
	return removeTree(dir)
}

func killAll(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); err == nil {
		return waitEmpty(dir)
	}
	// v1 and kernels before 5.14 have no cgroup.kill, so kill each process. Most members of a v1 cgroup have already ended,
	// because destroy kills the members of the v2 cgroup first.
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		return nil
	})
}

// waitEmpty waits until the cgroup dir and its descendants have no processes. poll(2) returns POLLPRI for cgroup.events
// after each change (cgroups(7)).
func waitEmpty(dir string) error {
	f, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return fmt.Errorf("watching a cgroup: %w", err)
	}
	defer f.Close()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		buf := make([]byte, 256)
		n, err := f.ReadAt(buf, 0)
		if n == 0 && err != nil {
			return fmt.Errorf("reading cgroup.events: %w", err)
		}
		if strings.Contains(string(buf[:n]), "populated 0") {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("processes in %s survive SIGKILL", dir)
		}
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watching a cgroup: %w", err)
		}
	}
}

// removeTree removes a cgroup and its descendants. os.RemoveAll would fail, because the files of a cgroup cannot be
// unlinked.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("removing a cgroup: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil {
		return fmt.Errorf("removing the cgroup %s: %w", dir, err)
	}
	return nil
}
