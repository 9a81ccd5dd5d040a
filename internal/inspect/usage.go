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

// CPU returns the CPU time that a cgroup has used since it was created, including cgroups below it that are gone. cpu.stat
// exists even without the cpu controller (since Linux 4.15).
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

// These are the sources of [Memory], the most exact first.
const (
	// FromCgroup is memory.current: all memory that the kernel charges to the cgroup, including the page cache.
	FromCgroup = "cgroup"
	// FromPSS is the sum of the memory of the processes, where shared memory is divided among the processes that share it.
	// It needs root.
	FromPSS = "pss"
	// FromRSS is the sum of the memory of the processes, where shared memory counts in full for each process.
	FromRSS = "rss"
)

// Memory is how much memory a cgroup uses, and how that was measured.
type Memory struct {
	Bytes  int64
	Source string
}

// Memory returns the memory of a cgroup. If the cgroup has no memory controller, Memory adds up the memory of its
// processes, pids.
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

// sum adds up the values in a file of each process. It returns false if a file cannot be read, or if no process is left.
func (h Host) sum(pids []int, file string, parse func([]byte) (int64, bool)) (int64, bool) {
	total, found := int64(0), false
	for _, pid := range pids {
		text, err := os.ReadFile(h.process(pid, file))
		if gone(err) || err == nil && len(text) == 0 {
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

// parseStatm returns the number of bytes in memory. The second number of statm is the number of pages in memory.
func parseStatm(text []byte) (int64, bool) {
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0, false
	}
	n, err := strconv.ParseInt(f[1], 10, 64)
	return n * int64(os.Getpagesize()), err == nil
}
