package drain

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// asleep reports whether no thread of these processes runs, wants to run, or waits
// for the kernel (D: for a page of its memory or a disk, which soon goes on). A
// thread that got an event from epoll_wait before the listener was taken out, and
// has not come round to its accept yet, is not asleep: so after one such
// instant nothing is accepted.
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
	times int // that it was given a processor
}

// A thread that has run for enoughCPU, or enoughTimes, has long been at its accept
// if it was on its way there: it computes in the background, or reads from a disk.
// One that only waits for its turn on a busy machine has not.
const (
	enoughCPU   = 20 * time.Millisecond
	enoughTimes = 10
)

// ranSoFar is how much each thread of these processes has run, by thread.
func ranSoFar(pids []int) map[int]ran {
	all := make(map[int]ran)
	for t := range threads(pids) {
		if r, ok := t.ran(); ok {
			all[t.tid] = r
		}
	}
	return all
}

// movedOn reports whether each thread that is awake has run for a good while since
// before was taken.
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

// threads goes through the threads of these processes.
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
	state, ok := threadState(text)
	return ok && (state == 'R' || state == 'D')
}

// ran reads schedstat: time on a processor and time in its queue in ns, and how
// often it was given one. A kernel without CONFIG_SCHED_INFO has zeros or no such
// file, and then it is not known.
func (t thread) ran() (ran, bool) {
	text, err := t.file("schedstat")
	if err != nil {
		return ran{}, false
	}
	return parseSchedstat(text)
}
