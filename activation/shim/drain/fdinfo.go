package drain

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// watch is an entry of an epoll instance.
type watch struct {
	fd  int    // descriptor number with which the file was added; a part of the kernel's key
	ino uint64 // inode of the file; the descriptor may have been closed or reused
}

// parseEpoll returns the entries in /proc/PID/fdinfo/FD of an epoll instance. Each has a line (fs/eventpoll.c,
// ep_show_fdinfo; ino since Linux 4.13)
//
//	tfd:        8 events:       19 data:                8  pos:0 ino:61ef sdev:9
//
// with events, data, ino and sdev in hexadecimal. Lines of another form are ignored, since newer kernels add some.
func parseEpoll(text []byte) []watch {
	var list []watch
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 2 || fields[0] != "tfd:" {
			continue
		}
		fd, err := strconv.Atoi(fields[1])
		if err != nil || fd < 0 {
			continue
		}
		for _, f := range fields[2:] {
			hex, found := strings.CutPrefix(f, "ino:")
			if !found {
				continue
			}
			if ino, err := strconv.ParseUint(hex, 16, 64); err == nil {
				list = append(list, watch{fd: fd, ino: ino})
			}
			break
		}
	}
	return list
}

// parseSchedstat parses "cpu-ns queue-ns times" of /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst).
// Zeros mean that the kernel does not count, since every thread has run. Then it returns false.
func parseSchedstat(text []byte) (ran, bool) {
	fields := strings.Fields(string(text))
	if len(fields) < 3 {
		return ran{}, false
	}
	cpu, err1 := strconv.ParseInt(fields[0], 10, 64)
	times, err2 := strconv.Atoi(fields[2])
	return ran{time.Duration(cpu), times}, err1 == nil && err2 == nil && cpu > 0 && times > 0
}
