package drain

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cgroupOf returns the directory of the cgroup of a process ("self" or a process id), in the hierarchy in which systemd
// tracks services. This hierarchy is cgroup v2 if the process is below the root of cgroup v2, and otherwise name=systemd
// of cgroup v1.
func cgroupOf(process string) (string, error) {
	membership, err := os.ReadFile("/proc/" + process + "/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	return cgroupDir(membership, mounts)
}

// cgroupDir returns the directory of a cgroup. membership is the text of /proc/PID/cgroup, and mounts is the text of
// /proc/self/mountinfo. cgroupDir returns an error for the root of a hierarchy: the root is not the cgroup of an instance,
// and a drain of the root would act on all processes of the machine.
func cgroupDir(membership, mounts []byte) (string, error) {
	for _, h := range []struct{ controllers, fstype, option string }{
		{"", "cgroup2", ""},
		{"name=systemd", "cgroup", "name=systemd"},
	} {
		path, found := memberOf(membership, h.controllers)
		// With Delegate=, the control processes of a unit, such as ExecStop=, are in a cgroup below the cgroup of the
		// instance.
		path = strings.TrimSuffix(path, "/.control")
		if !found || path == "/" || path == "" {
			continue
		}
		if dir, found := mountedPath(mounts, h.fstype, h.option, path); found {
			return dir, nil
		}
	}
	return "", errors.New("not in the cgroup of an instance")
}

// memberOf returns the path of a cgroup in the hierarchy with these controllers; "" means cgroup v2. Each line of membership
// has the form "ID:CONTROLLERS:PATH".
func memberOf(membership []byte, controllers string) (string, bool) {
	for line := range bytes.Lines(membership) {
		part := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(part) == 3 && part[1] == controllers && (controllers != "" || part[0] == "0") {
			return part[2], strings.HasPrefix(part[2], "/")
		}
	}
	return "", false
}

// mountedPath returns the directory of the cgroup path under the mount of its hierarchy. In a container without a
// cgroup namespace, the mount shows only a part of the hierarchy, and path begins with the root of this part, the 4th
// field in mountinfo.
func mountedPath(mounts []byte, fstype, option, path string) (string, bool) {
	for line := range bytes.Lines(mounts) {
		head, tail, found := strings.Cut(strings.TrimSpace(string(line)), " - ")
		h, t := strings.Fields(head), strings.Fields(tail)
		if !found || len(h) < 5 || len(t) < 3 || t[0] != fstype {
			continue
		}
		if option != "" && !slices.Contains(strings.Split(t[2], ","), option) {
			continue
		}
		rest, inside := strings.CutPrefix(path, strings.TrimSuffix(h[3], "/"))
		if inside && strings.HasPrefix(rest, "/") && rest != "/" {
			return filepath.Join(unescapeMount(h[4]), rest), true
		}
	}
	return "", false
}

// unescapeMount replaces the octal escapes of mountinfo, proc_pid_mountinfo(5).
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// members returns the ids of the processes in a cgroup and in all cgroups below it, in ascending order, without this
// process. members skips cgroups that are removed while it reads them.
func members(dir string) ([]int, error) {
	var pids []int
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			// ENODEV: the cgroup was removed. EOPNOTSUPP: the cgroup is threaded, and its processes are listed in its
			// parent.
			return nil
		}
		pids = append(pids, parsePids(text)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the processes of cgroup %q: %w", dir, err)
	}
	slices.Sort(pids)
	self := os.Getpid()
	return slices.DeleteFunc(slices.Compact(pids), func(pid int) bool { return pid == self }), nil
}

// KillOthers kills all other processes in the cgroup of this process, if this is the cgroup of the unit. Because a
// process may fork, KillOthers kills again until no process is left, at most 100 times. Processes that fork even faster
// must be killed by the service manager.
func KillOthers(unit string) error {
	dir, err := cgroupOf("self")
	if err != nil || filepath.Base(dir) != unit {
		return nil
	}
	const rounds = 100
	for range rounds {
		pids, err := members(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return nil
}

// OwnUnit returns the name of the unit of this process.
func OwnUnit() (string, error) {
	dir, err := cgroupOf("self")
	return filepath.Base(dir), err
}

// MoveToInit moves a process out of the cgroup of its unit and into the cgroup of PID 1.
func MoveToInit(pid int) error {
	dir, err := cgroupOf("1")
	if err != nil {
		return fmt.Errorf("PID 1: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// SiblingsRun reports whether another instance of the template of this unit has a cgroup. systemd removes the cgroup of a
// unit that has ended.
func SiblingsRun() (bool, error) {
	dir, err := cgroupOf("self")
	if err != nil {
		return false, err
	}
	own := filepath.Base(dir)
	template, _, _ := strings.Cut(own, "@")
	entries, err := os.ReadDir(filepath.Dir(dir))
	for _, e := range entries {
		if e.IsDir() && e.Name() != own && strings.HasPrefix(e.Name(), template+"@") {
			return true, nil
		}
	}
	return false, err
}

// parsePids returns the process ids in the text of cgroup.procs, one on each line. parsePids skips 0, which means a process
// outside the PID namespace of the reader.
func parsePids(text []byte) []int {
	var pids []int
	for line := range bytes.Lines(text) {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(line))); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
