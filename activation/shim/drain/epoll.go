package drain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// entry is a shared listener in an epoll instance of a process.
type entry struct {
	process
	epoll int // fd number of the epoll instance in that process
	watch watch
}

// reading is one look at the entries of an epoll instance.
type reading struct {
	again  time.Time // when there may be another one
	shared []watch   // entries of shared listeners
}

// epollKey names an epoll instance by process and number.
type epollKey struct{ pid, number int }

// rare is how much rarer than its own length a look at an epoll instance may be: the program cannot wait for events while
// the kernel goes over the entries, some 20 ms with 50,000 of them. Between two looks only entries that were there are
// tried.
const rare = 100

// entries finds the shared listeners in the epoll instances of these processes.
// An instance inside another one has a number of its own and is found likewise.
func (d *drain) entries(ctx context.Context) []entry {
	var list []entry
	readings := make(map[epollKey]reading)
	for _, p := range d.procs {
		for _, ep := range p.epolls {
			if ctx.Err() != nil {
				return list
			}
			key := epollKey{p.pid, ep}
			r, known := d.readings[key]
			if now := time.Now(); !known || !now.Before(r.again) {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.pid, ep))
				if err != nil {
					continue // closed since
				}
				r = reading{again: now.Add(rare * time.Since(now))}
				for _, w := range parseEpoll(text) {
					if _, found := d.shared[w.ino]; found {
						r.shared = append(r.shared, w)
					}
				}
			}
			readings[key] = r
			for _, w := range r.shared {
				list = append(list, entry{process: p, epoll: ep, watch: w})
			}
		}
	}
	d.readings = readings
	return list
}

// remove takes the entries out of their epoll instances and returns how many it
// took out. holders are processes of which at least one has each listener open.
// It stops when ctx is done.
//
// The kernel keys an entry by the open file *and* the number that it was added
// with, so the listener must have that very number in the caller while it calls
// epoll_ctl(EPOLL_CTL_DEL). Any small number may be in use here, by the Go
// runtime's own epoll above all: so this runs on a thread with a table of file
// descriptors of its own (unshare(CLONE_FILES)) that ends with the call.
func remove(ctx context.Context, list []entry, holders []process) (int, error) {
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
		r := remover{holders: holders, epoll: -1, listener: -1}
		var errs []error
		for _, e := range list {
			if ctx.Err() != nil {
				break
			}
			switch err := r.remove(e); {
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

// remover keeps the descriptors of the last entry: the next one is of the same instance and listener as a rule. They end
// with the thread at the latest.
type remover struct {
	holders         []process
	last            entry
	epoll, listener int
}

// open takes the descriptors of e. It keeps the epoll instance or the listener if the last entry had the same.
func (r *remover) open(e entry) error {
	if r.epoll < 0 || r.last.pid != e.pid || r.last.epoll != e.epoll {
		r.close(&r.epoll)
		ep, err := e.take(e.epoll)
		if err != nil {
			return err
		}
		r.epoll = ep
	}
	if r.listener < 0 || r.last.watch.ino != e.watch.ino {
		r.close(&r.listener)
		listener, err := takeSocket(e.watch.ino, e.pid, r.holders)
		if err != nil {
			return err
		}
		r.listener = listener
	}
	r.last = e
	return nil
}

func (r *remover) close(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}

func (r *remover) remove(e entry) error {
	if err := r.open(e); err != nil {
		return err
	}
	if err := raiseLimit(e.watch.fd); err != nil {
		return err
	}
	switch errno := deleteAt(r.epoll, r.listener, e.watch.fd); errno {
	case 0:
		return nil
	case unix.ENOENT, unix.EINVAL:
		// ENOENT: taken out meanwhile (or an instance shared by fork, done
		// already). EINVAL: the number is no longer an epoll instance.
		return errGone
	default:
		return fmt.Errorf("taking fd %d out of the epoll of process %d: %w", e.watch.fd, e.pid, errno)
	}
}

// errGone: the process, its epoll instance or the entry in it went away by itself.
var errGone = errors.New("gone")

// takeSocket gets a socket by its inode: from the process pid if that still
// has it open, else from any other. A socket has one open file description only,
// so it is the same file whoever it comes from.
func takeSocket(ino uint64, pid int, holders []process) (int, error) {
	err := errGone
	for _, own := range []bool{true, false} {
		for _, p := range holders {
			number, has := p.sockets[ino]
			if !has || own != (p.pid == pid) {
				continue
			}
			var fd int
			if fd, err = p.take(number); err != nil {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && st.Ino == ino {
				return fd, nil
			}
			unix.Close(fd) // the number has been reused
			err = errGone
		}
	}
	return -1, err
}

// take duplicates a file of the process into the caller's table
// (pidfd_getfd(2), since Linux 5.6; needs the right to ptrace the process).
func (p process) take(number int) (int, error) {
	fd, err := unix.PidfdGetfd(p.pidfd, number, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return -1, errGone
	}
	if err != nil {
		return -1, fmt.Errorf("pidfd_getfd of process %d: %w", p.pid, err)
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
