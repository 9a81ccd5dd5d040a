package drain

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// entry is a shared listener in an epoll instance of a process.
type entry struct {
	pid   int
	epoll int // fd number of the epoll instance in that process
	watch watch
}

// entries finds the shared listeners in the epoll instances of these processes.
// An instance inside another one has a number of its own and is found likewise.
func entries(procs []process, shared map[uint64]socket) []entry {
	var list []entry
	for _, p := range procs {
		for _, ep := range p.epolls {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.pid, ep))
			if err != nil {
				continue // closed since
			}
			for _, w := range parseEpoll(text) {
				if _, found := shared[w.ino]; found {
					list = append(list, entry{pid: p.pid, epoll: ep, watch: w})
				}
			}
		}
	}
	return list
}

// remove takes the entries out of their epoll instances and returns how many it
// took out. holders are processes of which at least one has each listener open.
//
// The kernel keys an entry by the open file *and* the number that it was added
// with, so the listener must have that very number in the caller while it calls
// epoll_ctl(EPOLL_CTL_DEL). Any small number may be in use here, by the Go
// runtime's own epoll above all: so this runs on a thread with a table of file
// descriptors of its own (unshare(CLONE_FILES)) that ends with the call.
func remove(list []entry, holders []process) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	var count int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread ends with the goroutine, and the table of
		// file descriptors with the thread.
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_FILES); err != nil {
			err = fmt.Errorf("unsharing the file descriptors: %w", err)
			return
		}
		var errs []error
		for _, e := range list {
			switch err := removeOne(e, holders); {
			case err == nil:
				count++
			case !errors.Is(err, errGone):
				errs = append(errs, err)
			}
		}
		err = errors.Join(errs...)
	}()
	<-done
	return count, err
}

// errGone: the process, its epoll instance or the entry in it went away by itself.
var errGone = errors.New("gone")

func removeOne(e entry, holders []process) error {
	ep, err := take(e.pid, e.epoll)
	if err != nil {
		return err
	}
	defer unix.Close(ep)
	listener, err := takeSocket(e, holders)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	if err := raiseLimit(e.watch.fd); err != nil {
		return err
	}
	switch errno := deleteAt(ep, listener, e.watch.fd); errno {
	case 0:
		return nil
	case unix.ENOENT, unix.EINVAL:
		// ENOENT: taken out meanwhile (or an instance shared by fork, done
		// already). EINVAL: the number is no epoll instance any more.
		return errGone
	default:
		return fmt.Errorf("taking fd %d out of the epoll of process %d: %w", e.watch.fd, e.pid, errno)
	}
}

// takeSocket gets the listener of an entry: from its own process if it still
// has it open, else from any other. A socket has one open file description only,
// so it is the same file whoever it comes from.
func takeSocket(e entry, holders []process) (int, error) {
	err := errGone
	for _, own := range []bool{true, false} {
		for _, p := range holders {
			number, has := p.sockets[e.watch.ino]
			if !has || own != (p.pid == e.pid) {
				continue
			}
			var fd int
			if fd, err = take(p.pid, number); err != nil {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && st.Ino == e.watch.ino {
				return fd, nil
			}
			unix.Close(fd) // the number has been reused
			err = errGone
		}
	}
	return -1, err
}

// take duplicates a file of another process into the caller's table
// (pidfd_getfd(2), since Linux 5.6; needs the right to ptrace the process).
func take(pid, number int) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, errGone
	}
	if err != nil {
		return -1, fmt.Errorf("pidfd_open of process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return -1, errGone
	}
	if err != nil {
		return -1, fmt.Errorf("pidfd_getfd of process %d: %w", pid, err)
	}
	return fd, nil
}

// raiseLimit makes the number usable here: the worker's RLIMIT_NOFILE may be
// higher than ours.
func raiseLimit(number int) error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("reading RLIMIT_NOFILE: %w", err)
	}
	need := uint64(number) + 1
	if lim.Cur >= need {
		return nil
	}
	lim.Cur, lim.Max = need, max(lim.Max, need)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("raising RLIMIT_NOFILE to %d: %w", need, err)
	}
	return nil
}

// deleteAt calls epoll_ctl(ep, EPOLL_CTL_DEL) for listener under the given
// number, and leaves the thread's table as it was. The calls are raw and nothing
// is allocated: while the number is borrowed the Go scheduler must not come to
// run on this thread, since the number may be that of the runtime's epoll.
func deleteAt(ep, listener, number int) unix.Errno {
	if number == listener {
		return epollDelete(ep, number)
	}
	saved, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(number), unix.F_DUPFD_CLOEXEC, uintptr(number)+1)
	if errno != 0 {
		saved = ^uintptr(0) // EBADF: not in use here
	}
	if ep == number && saved != ^uintptr(0) {
		ep = int(saved)
	}
	if _, _, errno = unix.RawSyscall(unix.SYS_DUP3, uintptr(listener), uintptr(number), unix.O_CLOEXEC); errno == 0 {
		errno = epollDelete(ep, number)
	}
	if saved == ^uintptr(0) {
		unix.RawSyscall(unix.SYS_CLOSE, uintptr(number), 0, 0)
		return errno
	}
	unix.RawSyscall(unix.SYS_DUP3, saved, uintptr(number), unix.O_CLOEXEC)
	unix.RawSyscall(unix.SYS_CLOSE, saved, 0, 0)
	return errno
}

func epollDelete(ep, number int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(ep), unix.EPOLL_CTL_DEL, uintptr(number), 0, 0, 0)
	return errno
}
