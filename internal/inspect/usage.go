package inspect

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU returns the CPU time that a cgroup and its descendants, including removed ones, have used since the cgroup was
// created. cpu.stat also exists without the cpu controller (since Linux 4.15).
func (h Host) CPU(path string) (time.Duration, bool) {
	if h.Cgroups == "" || path == "" || path == "/" {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(h.Cgroups, path, "cpu.stat"))
	if err != nil {
		return 0, false
	}
	return parseCPUStat(text)
}

func parseCPUStat(text []byte) (time.Duration, bool) {
	for line := range bytes.Lines(text) {
		if value, found := strings.CutPrefix(string(line), "usage_usec "); found {
			us, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return time.Duration(us) * time.Microsecond, err == nil && us >= 0 && us <= math.MaxInt64/1000
		}
	}
	return 0, false
}

// These are the values of [Memory.Source]. The first value is the most exact one.
const (
	// FromCgroup means memory.current: all memory that the kernel charges to the cgroup, including the page cache.
	FromCgroup = "cgroup"
	// FromPSS means the sum of the memory of the processes, in which the kernel divides shared memory among the processes
	// that use it. Only root can read these values.
	FromPSS = "pss"
	// FromRSS means the sum of the memory of the processes, in which shared memory counts fully for each process.
	FromRSS = "rss"
)

// Memory is the memory of a cgroup. The field Source has the method of the measurement.
type Memory struct {
	Bytes  int64
	Source string
}

// Memory returns the memory of the cgroup at path. If the cgroup has no memory controller, the method Memory returns the sum
// of the memory of the processes in pids.
func (h Host) Memory(path string, pids []int) (Memory, bool) {
	if h.Cgroups != "" && path != "" && path != "/" {
		if text, err := os.ReadFile(filepath.Join(h.Cgroups, path, "memory.current")); err == nil {
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			return Memory{n, FromCgroup}, err == nil
		}
	}
	if n, ok := h.sum(pids, "smaps_rollup", parseRollup); ok {
		return Memory{n, FromPSS}, true
	}
	n, ok := h.sum(pids, "statm", parseStatm)
	return Memory{n, FromRSS}, ok
}

// sum returns the sum of the values in a file of each process. It returns false if it cannot read a file, or if all
// processes have ended.
func (h Host) sum(pids []int, file string, parse func([]byte) (int64, bool)) (int64, bool) {
	total, found := int64(0), false
	for _, pid := range pids {
		text, err := os.ReadFile(h.process(pid, file))
		if isEnded(err) || err == nil && len(text) == 0 {
			continue // the process has ended or is a zombie
		}
		n, ok := parse(text)
		if err != nil || !ok {
			return 0, false
		}
		total, found = total+n, true
	}
	return total, found
}

// parseRollup returns the number of bytes in the line "Pss:   123 kB" of smaps_rollup (since Linux 4.14).
func parseRollup(text []byte) (int64, bool) {
	for line := range bytes.Lines(text) {
		if f := strings.Fields(string(line)); len(f) == 3 && f[0] == "Pss:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// parseStatm returns the resident set size in bytes. The second number of statm is this size in pages.
func parseStatm(text []byte) (int64, bool) {
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0, false
	}
	n, err := strconv.ParseInt(f[1], 10, 64)
	return n * int64(os.Getpagesize()), err == nil
}
