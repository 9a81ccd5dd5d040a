// Package inspect reads data of the kernel about the processes of an instance: CPU time, memory, connections, accept queues
// and environment. It also reads the files in which the shim records the runs of an instance. Each function reports whether
// it could read its value. Only root can read some values. For other users, such a value is missing, and there is no error.
//
// The methods of Host read the files, and the parsers are pure functions of the contents.
package inspect

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Host has the directories with the files of the kernel and the shim. Its methods only read, and are safe for concurrent
// use.
type Host struct {
	// Proc is /proc.
	Proc string
	// Cgroups is the mount point of cgroup v2. The field Named has the mount point of the hierarchy name=systemd of cgroup
	// v1. Without cgroup v2, the method Pids uses this hierarchy. An empty path means that the hierarchy is not mounted.
	Cgroups, Named string
	// Runs is /run/clusterctl. The shim records the runs of an instance in a directory of the app below Runs.
	Runs string
}

// System returns the Host of this machine.
func System() Host {
	h := Host{Proc: "/proc", Runs: contract.RunDirectory}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil {
		h.Cgroups, h.Named = parseMounts(mounts)
	}
	return h
}

// parseMounts returns the mount points of the cgroup hierarchies in /proc/self/mountinfo (proc_pid_mountinfo(5)).
func parseMounts(text []byte) (v2, named string) {
	for line := range bytes.Lines(text) {
		head, tail, found := strings.Cut(strings.TrimSpace(string(line)), " - ")
		h, t := strings.Fields(head), strings.Fields(tail)
		if !found || len(h) < 5 || len(t) < 3 {
			continue
		}
		dir := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(h[4])
		switch {
		case t[0] == "cgroup2" && v2 == "":
			v2 = dir
		case t[0] == "cgroup" && named == "" && strings.Contains(","+t[2]+",", ",name=systemd,"):
			named = dir
		}
	}
	return v2, named
}

// Pids returns the process IDs of a cgroup and of all its descendants. The parameter path is the ControlGroup= of a unit. If
// the cgroup does not exist, Pids returns nil.
func (h Host) Pids(path string) []int {
	root := h.Cgroups
	if root == "" {
		root = h.Named
	}
	if root == "" || path == "" || path == "/" {
		return nil
	}
	var pids []int
	h.walk(filepath.Join(root, path), &pids)
	return pids
}

// The method walk appends to pids the process IDs of the cgroup at dir and of all its descendants.
func (h Host) walk(dir string, pids *[]int) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return // removed since
	}
	*pids = append(*pids, parsePids(text)...)
	// A directory without subdirectories has two links. To save time, do not list such a directory: a cgroup has dozens of
	// files.
	var st unix.Stat_t
	if unix.Stat(dir, &st) == nil && st.Nlink == 2 {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			h.walk(filepath.Join(dir, e.Name()), pids)
		}
	}
}

// parsePids returns the process IDs in cgroup.procs, which has one ID per line. It omits 0, which stands for a process
// outside of the reader's PID namespace.
func parsePids(text []byte) []int {
	var pids []int
	for line := range bytes.Lines(text) {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(line))); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
