package drain

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// The function asleep reports whether all threads of the processes sleep. If a thread has got an event from epoll_wait
// before the listener was removed, the thread is awake until it has called accept. So if all threads sleep, no thread
// will call accept.
func asleep(pids []int) bool {
	for t := range threads(pids) {
		if t.isAwake() {
			return false
		}
	}
	return true
}

// cpuUsage is how much a thread has run so far.
type cpuUsage struct {
	time  time.Duration
	times int // how often the thread got a processor
}

// A thread that got an event before the listener was removed has called accept once it has run for minCPUTime or minRuns
// times. A thread that is still awake after that computes in the background or reads from a disk. The limit is not in real
// time, because on a busy machine a thread may wait long for a processor.
const (
	minCPUTime = 20 * time.Millisecond
	minRuns    = 10
)

// cpuUsages returns the CPU usage of each thread of the processes, by thread id.
func cpuUsages(pids []int) map[int]cpuUsage {
	all := make(map[int]cpuUsage)
	for t := range threads(pids) {
		if u, ok := t.cpuUsage(); ok {
			all[t.tid] = u
		}
	}
	return all
}

// allHaveRun reports whether each awake thread has run since an earlier reading, for at least minCPUTime or at least minRuns
// times. The map earlier has the values of that reading.
func allHaveRun(pids []int, earlier map[int]cpuUsage) bool {
	for t := range threads(pids) {
		if !t.isAwake() {
			continue
		}
		now, ok := t.cpuUsage()
		then := earlier[t.tid]
		if ok && now.time-then.time < minCPUTime && now.times-then.times < minRuns {
			return false
		}
	}
	return true
}

// thread is one task of a process.
type thread struct{ pid, tid int }

// threads returns an iterator over the threads of the processes. threads skips processes that have ended.
func threads(pids []int) func(yield func(thread) bool) {
	return func(yield func(thread) bool) {
		for _, pid := range pids {
			names, _ := readNames(fmt.Sprintf("/proc/%d/task", pid))
			for _, name := range names {
				if tid, err := strconv.Atoi(name); err == nil && !yield(thread{pid, tid}) {
					return
				}
			}
		}
	}
}

// file returns the content of a file of the thread in /proc.
func (t thread) file(name string) ([]byte, error) {
	return os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/%s", t.pid, t.tid, name))
}

// isAwake reports whether the thread runs, is ready to run, or is in state D. A thread in state D waits for a
// page of memory or for a disk, and continues soon. A thread that has ended is not awake.
func (t thread) isAwake() bool {
	text, err := t.file("stat")
	if err != nil {
		return false
	}
	stat, ok := target.ParseStat(text)
	return ok && (stat.State == 'R' || stat.State == 'D')
}

// cpuUsage returns the CPU usage of the thread. ok is false if the kernel does not count CPU usage (no CONFIG_SCHED_INFO).
func (t thread) cpuUsage() (u cpuUsage, ok bool) {
	text, err := t.file("schedstat")
	if err != nil {
		return cpuUsage{}, false
	}
	return parseSchedstat(text)
}

// parseSchedstat parses "cpu-ns queue-ns times", the text of /proc/PID/task/TID/schedstat
// (Documentation/scheduler/sched-stats.rst). If the numbers are 0, ok is false: every thread has run, so 0 means that the
// kernel does not count CPU usage.
func parseSchedstat(text []byte) (u cpuUsage, ok bool) {
	fields := strings.Fields(string(text))
	if len(fields) < 3 {
		return cpuUsage{}, false
	}
	cpu, err1 := strconv.ParseInt(fields[0], 10, 64)
	times, err2 := strconv.Atoi(fields[2])
	return cpuUsage{time.Duration(cpu), times}, err1 == nil && err2 == nil && cpu > 0 && times > 0
}
