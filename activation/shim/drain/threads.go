package drain

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// asleep reports whether all threads of the processes sleep. A thread is awake if it runs, is ready to run, or is in state
// D, where it waits for a page of memory or a disk and soon continues. A thread may have got an event from epoll_wait before
// the listener was removed, and not yet have called accept. Such a thread is awake, so no thread accepts once asleep returns
// true.
func asleep(pids []int) bool {
	for t := range threads(pids) {
		if t.awake() {
			return false
		}
	}
	return true
}

// ran is how much a thread has run so far.
type ran struct {
	cpu   time.Duration
	times int // how often it got a processor
}

// A thread that got an event before the removal has called accept by the time it has run for enoughCPU, or enoughTimes: it
// computes in the background or reads from a disk. This is not so for a thread that only waits for a processor on a busy
// machine.
const (
	enoughCPU   = 20 * time.Millisecond
	enoughTimes = 10
)

// ranSoFar returns how much each thread of the processes has run, by thread id.
func ranSoFar(pids []int) map[int]ran {
	all := make(map[int]ran)
	for t := range threads(pids) {
		if r, ok := t.ran(); ok {
			all[t.tid] = r
		}
	}
	return all
}

// movedOn reports whether each thread that is awake has run for enoughCPU, or enoughTimes, since before.
func movedOn(pids []int, before map[int]ran) bool {
	for t := range threads(pids) {
		if !t.awake() {
			continue
		}
		now, ok := t.ran()
		then := before[t.tid]
		if ok && now.cpu-then.cpu < enoughCPU && now.times-then.times < enoughTimes {
			return false
		}
	}
	return true
}

// thread is one task of a process.
type thread struct{ pid, tid int }

// threads returns an iterator over the threads of the processes.
func threads(pids []int) func(yield func(thread) bool) {
	return func(yield func(thread) bool) {
		for _, pid := range pids {
			names, err := readNames(fmt.Sprintf("/proc/%d/task", pid))
			if err != nil {
				continue // gone
			}
			for _, name := range names {
				if tid, err := strconv.Atoi(name); err == nil && !yield(thread{pid, tid}) {
					return
				}
			}
		}
	}
}

// file reads a file of the thread in /proc.
func (t thread) file(name string) ([]byte, error) {
	return os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/%s", t.pid, t.tid, name))
}

func (t thread) awake() bool {
	text, err := t.file("stat")
	if err != nil {
		return false // gone
	}
	stat, ok := target.ParseStat(text)
	return ok && (stat.State == 'R' || stat.State == 'D')
}

// ran returns how much the thread has run, from schedstat. It returns false if the kernel has no CONFIG_SCHED_INFO: then the
// file has zeros or does not exist.
func (t thread) ran() (ran, bool) {
	text, err := t.file("schedstat")
	if err != nil {
		return ran{}, false
	}
	return parseSchedstat(text)
}
