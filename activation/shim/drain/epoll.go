package drain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// entry is an entry of an epoll instance. The kernel identifies an entry by the open file and the descriptor number.
type entry struct {
	fd  int    // descriptor number with which the file was added; the program may have closed or reused this descriptor
	ino uint64 // inode of the file
}

// location is an entry and its epoll instance.
type location struct {
	process
	epoll int // descriptor of the epoll instance in the process
	entry entry
}

// epollKey identifies an epoll instance by process and descriptor.
type epollKey struct{ pid, fd int }

// epollCache holds the entries for shared listeners in one epoll instance. The drain uses these entries until the time in
// the field expires.
type epollCache struct {
	shared  []entry
	expires time.Time
}

// pauseFactor limits how often the entries of an epoll instance are read: the pause is pauseFactor times as long as the
// read. While the kernel lists the entries, about 20 ms for 50,000 entries, the program cannot wait for events. During the
// pause the drain uses the entries of the last read.
const pauseFactor = 100

// sharedEntries returns the entries of shared listeners in the epoll instances of all processes. An epoll instance inside
// another one has its own descriptor in the process, so the result also includes its entries.
func (d *drain) sharedEntries(ctx context.Context) []location {
	var list []location
	caches := make(map[epollKey]epollCache)
	for _, p := range d.procs {
		for _, ep := range p.epolls {
			if ctx.Err() != nil {
				return list
			}
			key := epollKey{p.pid, ep}
			cache, known := d.epollCaches[key]
			if now := time.Now(); !known || !now.Before(cache.expires) {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.pid, ep))
				if err != nil {
					continue // the process has closed the descriptor
				}
				cache = epollCache{expires: now.Add(pauseFactor * time.Since(now))}
				for _, e := range parseEpoll(text) {
					if _, found := d.shared[e.ino]; found {
						cache.shared = append(cache.shared, e)
					}
				}
			}
			caches[key] = cache
			for _, e := range cache.shared {
				list = append(list, location{process: p, epoll: ep, entry: e})
			}
		}
	}
	d.epollCaches = caches
	return list
}

// parseEpoll returns the entries in the text of /proc/PID/fdinfo/FD of an epoll instance. An entry is a line of this form
// (fs/eventpoll.c, ep_show_fdinfo; ino since Linux 4.13), with events, data, ino and sdev in hexadecimal:
//
//	tfd:        8 events:       19 data:                8  pos:0 ino:61ef sdev:9
//
// parseEpoll ignores lines of another form, which newer kernels may add.
func parseEpoll(text []byte) []entry {
	var list []entry
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
				list = append(list, entry{fd: fd, ino: ino})
			}
			break
		}
	}
	return list
}

// removeEntries removes the entries from their epoll instances and returns the number of removed entries. Each listener must
// be open in at least one process of holders. removeEntries stops when ctx is done.
//
// The kernel finds an entry by the open file and the descriptor number. So during epoll_ctl(EPOLL_CTL_DEL), the listener
// must have this descriptor number in the calling process too. But this number may already belong to another file of the
// calling process, such as the epoll instance of the Go runtime. Therefore removeEntries uses a thread with a separate table
// of file descriptors (unshare(CLONE_FILES)), and the thread ends with the call.
func removeEntries(ctx context.Context, list []location, holders []process) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	var count int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread stays locked, so the thread and its table of file descriptors end with the goroutine.
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_FILES); err != nil {
			err = fmt.Errorf("unsharing the file descriptors: %w", err)
			return
		}
		r := remover{holders: holders, epoll: -1, listener: -1}
		var errs []error
		for _, l := range list {
			if ctx.Err() != nil {
				break
			}
			switch err := r.remove(l); {
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

// remover removes entries. After each entry, the descriptors of its epoll instance and its listener stay open, because
// the next entry often needs the same descriptors. The end of the thread closes the descriptors.
type remover struct {
	holders         []process
	last            location
	epoll, listener int
}

// The method open duplicates the epoll instance and the listener of l into this process, unless the remover has them open
// already.
func (r *remover) open(l location) error {
	if r.epoll < 0 || r.last.pid != l.pid || r.last.epoll != l.epoll {
		r.close(&r.epoll)
		ep, err := l.duplicate(l.epoll)
		if err != nil {
			return err
		}
		r.epoll = ep
	}
	if r.listener < 0 || r.last.entry.ino != l.entry.ino {
		r.close(&r.listener)
		listener, err := duplicateSocket(l.entry.ino, l.pid, r.holders)
		if err != nil {
			return err
		}
		r.listener = listener
	}
	r.last = l
	return nil
}

func (r *remover) close(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}

func (r *remover) remove(l location) error {
	if err := r.open(l); err != nil {
		return err
	}
	if err := raiseLimit(l.entry.fd); err != nil {
		return err
	}
	switch errno := deleteAt(r.epoll, r.listener, l.entry.fd); errno {
	case 0:
		return nil
	case unix.ENOENT, unix.EINVAL:
		// ENOENT: the program has removed the entry, or the drain has removed it through another process that shares the
		// epoll instance. EINVAL: the descriptor is no longer an epoll instance.
		return errGone
	default:
		return fmt.Errorf("removing descriptor %d from an epoll instance of process %d: %w", l.entry.fd, l.pid, errno)
	}
}

// errGone means that the process, its epoll instance or the entry no longer exists.
var errGone = errors.New("gone")

// duplicateSocket duplicates the socket with inode ino into this process, and returns the descriptor. If process pid has
// the socket open, duplicateSocket uses the descriptor of process pid, and otherwise the descriptor of another holder.
// All holders share one open file description.
func duplicateSocket(ino uint64, pid int, holders []process) (int, error) {
	err := errGone
	for _, own := range []bool{true, false} {
		for _, p := range holders {
			number, has := p.sockets[ino]
			if !has || own != (p.pid == pid) {
				continue
			}
			var fd int
			if fd, err = p.duplicate(number); err != nil {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && st.Ino == ino {
				return fd, nil
			}
			unix.Close(fd) // the process has reused the number for another file
			err = errGone
		}
	}
	return -1, err
}

// The method duplicate makes a duplicate of a descriptor of process p in this process, with pidfd_getfd(2), which needs
// Linux 5.6 and the right to ptrace the process.
func (p process) duplicate(number int) (int, error) {
	fd, err := unix.PidfdGetfd(p.pidfd, number, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return -1, errGone
	}
	if err != nil {
		return -1, fmt.Errorf("pidfd_getfd of process %d: %w", p.pid, err)
	}
	return fd, nil
}

// raiseLimit raises RLIMIT_NOFILE of this process so that the process can use the descriptor number. The limit of the worker
// may be higher than the limit of this process.
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

// deleteAt calls epoll_ctl(ep, EPOLL_CTL_DEL) while the listener has the given descriptor number, and then restores the
// table of file descriptors. deleteAt makes raw system calls and does not allocate, so that the Go scheduler does not run on
// this thread before the table is restored: in this process, the number may be the epoll descriptor of the Go runtime.
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
