package drain

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pidfds maps the process ids of the instance to pidfds. The kernel reuses process ids, but a pidfd always refers to the
// process that was in the cgroup.
type pidfds map[int]int

// The method update opens the pidfds of new processes, closes the pidfds of ended processes, and returns the process ids
// in order. The function list must return the current processes of the cgroup.
func (f pidfds) update(list func() ([]int, error)) ([]int, error) {
	pids, err := list()
	if err != nil {
		return nil, err
	}
	for pid, fd := range f {
		if hasEnded(fd) {
			f.remove(pid)
		}
	}
	var opened []int
	for _, pid := range pids {
		if _, known := f[pid]; known {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("pidfd_open of process %d: %w", pid, err)
		}
		f[pid] = fd
		opened = append(opened, pid)
	}
	if len(opened) == 0 {
		return pids, nil
	}
	// The kernel may have reused a process id between the listing and pidfd_open. If the process of a pidfd still runs
	// and its id is still in the cgroup, the pidfd refers to the right process.
	if pids, err = list(); err != nil {
		return nil, err
	}
	for _, pid := range opened {
		if !slices.Contains(pids, pid) || hasEnded(f[pid]) {
			f.remove(pid)
		}
	}
	return pids, nil
}

func (f pidfds) remove(pid int) {
	unix.Close(f[pid])
	delete(f, pid)
}

func (f pidfds) close() {
	for pid := range f {
		f.remove(pid)
	}
}

// hasEnded reports whether the process of the pidfd has ended.
func hasEnded(pidfd int) bool {
	ended, _ := EndsWithin(pidfd, 0)
	return ended
}

// EndsWithin waits for the end of the process of the pidfd, at most for limit, and reports whether the process has ended.
func EndsWithin(pidfd int, limit time.Duration) (bool, error) {
	deadline := time.Now().Add(limit)
	for {
		remaining := unix.NsecToTimespec(max(time.Until(deadline), 0).Nanoseconds())
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, &remaining, nil)
		if !errors.Is(err, unix.EINTR) {
			return n > 0, err
		}
	}
}
