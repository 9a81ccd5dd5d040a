// Package inspect reads what the kernel knows of the processes of an instance: CPU time, memory, connections, accept
// queues, environment; and what the shim has noted about its runs. Each number says whether it could be had: what needs
// root is missing without it, and that is no error.
//
// The parsers are pure functions on the bytes of a file; Host is what opens the files.
package inspect

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
)

// Host says where the kernel's files are. Its methods change nothing, and may be used from several goroutines.
type Host struct {
	// Proc is /proc.
	Proc string
	// Cgroups is the mount of cgroup v2, and Named that of v1's name=systemd, in which processes are found where v2 is not
	// mounted. Empty: there is none.
	Cgroups, Named string
	// Runs has the directories of the apps in which the state of the backoff is, /run/clusterctl.
	Runs string
}

// System is this machine.
func System() Host {
	h := Host{Proc: "/proc", Runs: contract.RunDirectory}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil {
		h.Cgroups, h.Named = parseMounts(mounts)
	}
	return h
}

// parseMounts finds the hierarchies of cgroups in /proc/self/mountinfo (proc_pid_mountinfo(5)).
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

// Pids are the processes of a cgroup and of those below it; path is systemd's ControlGroup=. One that is not there has none.
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

// walk goes into the directories only: a cgroup has dozens of files.
func (h Host) walk(dir string, pids *[]int) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return // removed since
	}
	*pids = append(*pids, parsePids(text)...)
	// A directory has one link more for each one in it, so a leaf, which most are, is known without being listed.
	if links(dir) == 2 {
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

// parsePids reads cgroup.procs, one id a line. 0 stands for a process outside of the reader's pid namespace.
func parsePids(text []byte) []int {
	var pids []int
	for line := range bytes.Lines(text) {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(line))); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
