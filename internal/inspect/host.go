// Package inspect reads what the kernel knows about the processes of an instance: CPU time, memory, connections, accept
// queues and environment. It also reads what the shim has recorded about the runs of the instance. Each function reports
// whether it could read its value. A value that only root can read is missing without root, which is not an error.
//
// The parsers are pure functions on the contents of a file. The methods of Host open the files.
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

// Host has the paths of the kernel's files. Its methods change nothing. Several goroutines may call them.
type Host struct {
	// Proc is /proc.
	Proc string
	// Cgroups is the mount point of cgroup v2. Named is the mount point of name=systemd of cgroup v1, which has the
	// processes if v2 is not mounted. An empty path means that there is no such mount.
	Cgroups, Named string
	// Runs is the directory with one directory per app, in which the shim keeps the state of its restarts: /run/clusterctl.
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

// parseMounts returns the mount points of cgroups in /proc/self/mountinfo (proc_pid_mountinfo(5)).
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

// Pids returns the processes of a cgroup and of the cgroups below it. path is systemd's ControlGroup=. A missing cgroup has
// no processes.
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

// walk adds the processes of the cgroup at dir and of the cgroups below it. It lists directories only if it must, because a
// cgroup has dozens of files.
func (h Host) walk(dir string, pids *[]int) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return // removed since
	}
	*pids = append(*pids, parsePids(text)...)
	// Each subdirectory adds a link to its parent. So a directory with two links has no subdirectories and need not be
	// listed, and most cgroups are such directories.
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

// parsePids returns the process IDs in cgroup.procs, which has one per line. It omits 0, a process outside of the reader's
// PID namespace.
func parsePids(text []byte) []int {
	var pids []int
	for line := range bytes.Lines(text) {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(line))); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
