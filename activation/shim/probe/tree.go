package probe

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// tree returns the descendants of this process that have not ended, and the CPU time in ticks of these processes and their
// ended children. active reports whether one of these processes runs, or waits for a CPU or a disk.
func tree(r *target.Reader) (pids []int, ticks uint64, active bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, 0, false
	}
	stats := make(map[int]target.Stat)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, ok := r.Stat(uint32(pid)); ok {
			stats[pid] = s
		}
	}
	self := os.Getpid()
	for _, e := range entries { // use the order of the directory, because a map has a random order
		pid, err := strconv.Atoi(e.Name())
		s, ok := stats[pid]
		if err == nil && ok && descends(stats, pid, self) {
			if s.State == 'Z' {
				continue // the process has ended, and killAll waits for it
			}
			pids = append(pids, pid)
			ticks += s.Ticks + s.Reaped
			active = active || s.State == 'R' || s.State == 'D'
		}
	}
	return pids, ticks, active
}

// The function descends reports whether pid is a descendant of ancestor. It limits the number of steps: process ids may
// be reused while the list is read, so the parents may form a cycle.
func descends(stats map[int]target.Stat, pid, ancestor int) bool {
	for range len(stats) {
		s, ok := stats[pid]
		if !ok {
			return false
		}
		if pid = int(s.Parent); pid == ancestor {
			return true
		}
	}
	return false
}

// watchedInodes returns the inodes that the epoll instances of the processes watch, from the "tfd:" lines of
// /proc/PID/fdinfo (proc_pid_fdinfo(5), ino since Linux 4.13).
func watchedInodes(pids []int) map[uint64]bool {
	found := make(map[uint64]bool)
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue // the process has ended
		}
		for _, fd := range fds {
			link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if err != nil || link != "anon_inode:[eventpoll]" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				if inode, ok := watchedInode(line); ok {
					found[inode] = true
				}
			}
		}
	}
	return found
}

// watchedInode returns the inode in a line such as "tfd: 16 events: 2019 data: 10 pos:0 ino:5ce2 sdev:8".
func watchedInode(line string) (uint64, bool) {
	if !strings.HasPrefix(line, "tfd:") {
		return 0, false
	}
	_, rest, ok := strings.Cut(line, " ino:")
	if !ok {
		return 0, false
	}
	word, _, _ := strings.Cut(strings.TrimRight(rest, "\n"), " ")
	inode, err := strconv.ParseUint(word, 16, 64)
	return inode, err == nil
}
