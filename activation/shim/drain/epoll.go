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
	epoll int // number of the epoll descriptor in the process
	watch watch
}

// reading is the result of reading the entries of an epoll instance.
type reading struct {
	again  time.Time // the earliest time to read them again
	shared []watch   // entries of shared listeners
}

// epollKey identifies an epoll instance by process and descriptor.
type epollKey struct{ pid, number int }

// pauseFactor limits how often the entries of an epoll instance are read: the pause is this many times as long as the
// reading. While the kernel lists the entries, about 20 ms for 50,000 of them, the program cannot wait for events. During
// the pause the drain uses the entries that it has read before.
const pauseFactor = 100

// entries returns the entries of shared listeners in the epoll instances of the processes, including an instance inside
// another one, which has a descriptor too.
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
				r = reading{again: now.Add(pauseFactor * time.Since(now))}
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

// remove removes the entries from their epoll instances and returns the number of removed entries. For each listener, at
// least one of the holders must have it open. remove stops when ctx is done.
//
// The key of an entry is the open file *and* the descriptor number with which it was added, so the listener must have this
// number in the caller during epoll_ctl(EPOLL_CTL_DEL). A small number may be in use in this process, such as for the epoll
// of the Go runtime. So remove runs on a thread with a separate table of file descriptors (unshare(CLONE_FILES)), which ends
// with the call.
func remove(ctx context.Context, list []entry, holders []process) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	var count int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread stays locked, so it ends with the goroutine, and its table of file descriptors ends too.
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

// remover keeps the descriptors of the last entry, since the next one often has the same instance and listener. They are
// closed at the end of the thread.
type remover struct {
	holders         []process
	last            entry
	epoll, listener int
}

// open duplicates the descriptors of e. It keeps the epoll instance or the listener if the last entry had the same one.
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
		// ENOENT: the entry was removed before, by the program or through another process that shares the instance. EINVAL:
		// the descriptor is no longer an epoll instance.
		return errGone
	default:
		return fmt.Errorf("removing descriptor %d from an epoll instance of process %d: %w", e.watch.fd, e.pid, errno)
	}
}

// errGone means that the process, its epoll instance or the entry no longer exists.
var errGone = errors.New("gone")

// takeSocket returns a descriptor of the socket with the inode: from process pid if it still has the socket open, otherwise
// from another holder. A socket has only one open file description, so all holders have the same file.
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

// take duplicates a descriptor of the process into this process (pidfd_getfd(2), since Linux 5.6, which needs the right to
// ptrace the process).
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

// raiseLimit raises RLIMIT_NOFILE of this process so that it can use the descriptor number. The limit of the worker may be
// higher.
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

// deleteAt calls epoll_ctl(ep, EPOLL_CTL_DEL) for listener under the given descriptor number, and restores the table of the
// thread. It makes raw system calls and does not allocate: in this process, the number may be the epoll descriptor of
// the Go runtime, so the Go scheduler must not run on this thread until the table is restored.
func deleteAt(ep, listener, number int) unix.Errno {
	if number == listener {
		return epollDelete(ep, number)
	}
	saved, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(number), unix.F_DUPFD_CLOEXEC, uintptr(number)+1)
	if errno != 0 {
		saved = ^uintptr(0) // EBADF: the number is not in use here
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
