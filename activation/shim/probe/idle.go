package probe

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// The type idle ends the probe of a program that does not listen and has been idle for the time limit. A program that is
// still starting uses the CPU, waits for a disk, or sleeps with a timeout.
type idle struct {
	limit time.Duration // 0: the program may be idle for any time
	since time.Time     // when the program was last known to work
	ticks uint64
	slept bool // whether idleTooLong has waited for the end of a sleep
}

// idleTooLong reads the state of the program from /proc, and reports whether the program has been idle for
// i.limit. period is the time since the previous call.
func (i *idle) idleTooLong(r *target.Reader, now, deadline time.Time, period time.Duration) bool {
	if i.limit == 0 {
		return false
	}
	pids, ticks, active := tree(r)
	if active || busy(ticks-min(ticks, i.ticks), period) {
		i.since = now
	}
	i.ticks = ticks
	if now.Sub(i.since) < i.limit {
		return false
	}
	// Wait for the end of one sleep only, because a program with a repeating timer sleeps again and again until the
	// deadline.
	if sleep := longestSleep(pids); !i.slept && sleep > period && now.Add(sleep).Before(deadline) && !hasConnection(r, pids) {
		i.slept, i.since = true, now.Add(sleep+period-i.limit)
		return false
	}
	return true
}

// hasConnection reports whether one of the processes has a socket of TCP or UDP. Such a program already works as
// a client.
func hasConnection(r *target.Reader, pids []int) bool {
	for _, pid := range pids {
		fds, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
		if err != nil {
			continue // the process has ended
		}
		for _, fd := range fds {
			n, err := strconv.ParseUint(fd.Name(), 10, 32)
			if err != nil {
				continue
			}
			switch k, _ := r.Kind(uint32(pid), uint32(n)); k {
			case target.TCP4, target.TCP6, target.UDP4, target.UDP6:
				return true
			}
		}
	}
	return false
}

// longestSleep returns the longest timeout with which a thread of the processes waits. longestSleep ignores threads that
// wait without a timeout.
func longestSleep(pids []int) (longest time.Duration) {
	for _, pid := range pids {
		paths, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/syscall")
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err == nil {
				longest = max(longest, sleepOf(string(text), pid))
			}
		}
	}
	return longest
}

// sleepOf returns the timeout of the call in which a thread waits, or 0. line is the text of /proc/PID/task/TID/syscall
// (proc_pid_syscall(5)): the number of the call and its six arguments.
func sleepOf(line string, pid int) time.Duration {
	var args [6]uint64
	fields := strings.Fields(line)
	if len(fields) <= len(args) {
		return 0 // the line is "running", or begins with "-1" if the thread waits outside of a system call
	}
	for i := range args {
		n, err := strconv.ParseUint(strings.TrimPrefix(fields[i+1], "0x"), 16, 64)
		if err != nil {
			return 0
		}
		args[i] = n
	}
	c, ok := sleepingCalls(runtime.GOARCH)[fields[0]]
	switch {
	case !ok:
		return 0
	case c.unit == time.Millisecond:
		return time.Duration(max(int32(args[c.timeout]), 0)) * c.unit
	case c.clock && args[1]&timerAbsolute != 0:
		var now unix.Timespec
		if unix.ClockGettime(int32(args[0]), &now) != nil {
			return 0
		}
		return max(timeOf(pid, args[c.timeout], c.unit)-time.Duration(now.Nano()), 0)
	}
	return timeOf(pid, args[c.timeout], c.unit)
}

const timerAbsolute = 1 // TIMER_ABSTIME

// sleepingCall is a system call with a timeout.
type sleepingCall struct {
	timeout int           // index of the argument with the timeout
	unit    time.Duration // time.Millisecond if the argument is a number; otherwise the unit of the struct's second field
	clock   bool          // clock_nanosleep(2): the timeout may be an absolute time
}

// sleepingCalls returns the system calls with which programs sleep, by their numbers on the architecture in the parameter
// machine. sleepingCalls does not contain futex(2), in which language runtimes wait with timeouts that the program has
// not set.
func sleepingCalls(machine string) map[string]sleepingCall {
	ms, us, ns := time.Millisecond, time.Microsecond, time.Nanosecond
	switch machine {
	case "amd64":
		return map[string]sleepingCall{
			"7": {2, ms, false} /* poll */, "23": {4, us, false} /* select */, "35": {0, ns, false}, /* nanosleep */
			"230": {2, ns, true} /* clock_nanosleep */, "232": {3, ms, false} /* epoll_wait */, "270": {4, ns, false}, /* pselect6 */
			"271": {2, ns, false} /* ppoll */, "281": {3, ms, false}, /* epoll_pwait */
		}
	case "arm64":
		return map[string]sleepingCall{
			"22": {3, ms, false} /* epoll_pwait */, "72": {4, ns, false} /* pselect6 */, "73": {2, ns, false}, /* ppoll */
			"101": {0, ns, false} /* nanosleep */, "115": {2, ns, true}, /* clock_nanosleep */
		}
	}
	return nil
}

// timeOf returns the value of a struct timespec or timeval in the memory of another process. timeOf returns 0 if the struct
// cannot be read or the value is invalid or too large.
func timeOf(pid int, address uint64, unit time.Duration) time.Duration {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mem")
	if err != nil || address == 0 || address > math.MaxInt64 {
		return 0
	}
	defer f.Close()
	var b [16]byte
	if _, err := f.ReadAt(b[:], int64(address)); err != nil {
		return 0
	}
	seconds, rest := int64(binary.NativeEndian.Uint64(b[:8])), int64(binary.NativeEndian.Uint64(b[8:]))
	if seconds < 0 || seconds > math.MaxInt32 || rest < 0 || rest >= int64(time.Second/unit) {
		return 0
	}
	return time.Duration(seconds)*time.Second + time.Duration(rest)*unit
}
