package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usage contains the resource usage of some processes: CPU time and context switches so far, and current memory.
type usage struct {
	Processes int     `json:"processes"`
	PSS       float64 `json:"pss_kb"`
	CPU       float64 `json:"cpu_us"`
	Switches  int64   `json:"switches"` // voluntary and involuntary context switches
}

// usageCommand prints the usage of processes, one result for each selector:
//
//	all            all processes except this one
//	cgroup:TEXT    processes with TEXT in their cgroup path
//	tree:FILE      the process whose PID is in FILE, and its descendants
//	pidfile:FILE   only the process whose PID is in FILE
//	pid:N          the process with this PID
//	name:TEXT      processes with this name
//	exe:TEXT       processes whose executable file has this name
func usageCommand(args []string) (any, error) {
	f := flags("usage")
	memory := f.Bool("pss", false, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	all, err := table()
	if err != nil {
		return nil, err
	}
	var out []usage
	for _, s := range f.Args() {
		pids, err := choose(all, s)
		if err != nil {
			return nil, err
		}
		var u usage
		for _, pid := range pids {
			u.add(pid, *memory)
		}
		out = append(out, u)
	}
	return out, nil
}

// process is one entry of the process table.
type process struct {
	pid, parent       int
	name, cgroup, exe string
}

func table() ([]process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, d := range dirs {
		stat, err := os.ReadFile(d + "/stat")
		if err != nil {
			continue // the process has ended
		}
		cgroup, _ := os.ReadFile(d + "/cgroup")
		p, err := parseStat(string(stat))
		if err != nil {
			return nil, fmt.Errorf("%s/stat: %w", d, err)
		}
		p.cgroup = string(cgroup)
		exe, _ := os.Readlink(d + "/exe")
		p.exe = filepath.Base(exe)
		all = append(all, p)
	}
	return all, nil
}

// parseStat returns the PID of a process, its name and the PID of its parent from the content of /proc/PID/stat. The name is
// in parentheses and may contain any characters.
func parseStat(s string) (process, error) {
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("no name in %q", s)
	}
	rest := strings.Fields(s[end+1:])
	if len(rest) < 2 {
		return process{}, fmt.Errorf("no parent in %q", s)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(s[:open]))
	if err != nil {
		return process{}, err
	}
	parent, err := strconv.Atoi(rest[1])
	return process{pid: pid, parent: parent, name: s[open+1 : end]}, err
}

func choose(all []process, selector string) ([]int, error) {
	kind, value, _ := strings.Cut(selector, ":")
	var pids []int
	switch kind {
	case "cgroup":
		for _, p := range all {
			if strings.Contains(p.cgroup, value) {
				pids = append(pids, p.pid)
			}
		}
	case "all":
		for _, p := range all {
			if p.pid != os.Getpid() {
				pids = append(pids, p.pid)
			}
		}
	case "name":
		for _, p := range all {
			if p.name == value {
				pids = append(pids, p.pid)
			}
		}
	case "exe":
		for _, p := range all {
			if p.exe == value {
				pids = append(pids, p.pid)
			}
		}
	case "pid":
		pid, err := strconv.Atoi(value)
		return []int{pid}, err
	case "tree", "pidfile":
		b, err := os.ReadFile(value)
		if err != nil {
			return nil, err
		}
		root, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return nil, err
		}
		if pids = []int{root}; kind == "tree" {
			pids = withDescendants(all, root)
		}
	default:
		return nil, fmt.Errorf("unknown selector %q", selector)
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("no process matches %s", selector)
	}
	return pids, nil
}

// withDescendants returns a process and all its descendants.
func withDescendants(all []process, root int) []int {
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		for _, p := range all {
			if p.parent == pids[i] {
				pids = append(pids, p.pid)
			}
		}
	}
	return pids
}

// The method add adds the usage of a process, and ignores a process that has ended.
func (u *usage) add(pid int, memory bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	tasks, err := filepath.Glob(dir + "/task/*")
	if err != nil || len(tasks) == 0 {
		return
	}
	u.Processes++
	for _, t := range tasks {
		// /proc/PID/schedstat contains the CPU time in nanoseconds, but /proc/PID/stat only in ticks.
		if b, err := os.ReadFile(t + "/schedstat"); err == nil {
			if f := bytes.Fields(b); len(f) > 0 {
				ns, _ := strconv.ParseFloat(string(f[0]), 64)
				u.CPU += ns / 1000
			}
		}
		if b, err := os.ReadFile(t + "/status"); err == nil {
			u.Switches += field(b, "voluntary_ctxt_switches:") + field(b, "nonvoluntary_ctxt_switches:")
		}
	}
	if memory {
		if b, err := os.ReadFile(dir + "/smaps_rollup"); err == nil {
			u.PSS += float64(field(b, "Pss:"))
		}
	}
}

// The function field returns the number after a key at the start of a line, or 0 if no line has the key.
func field(b []byte, key string) int64 {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(key)); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 64)
				return n
			}
		}
	}
	return 0
}
