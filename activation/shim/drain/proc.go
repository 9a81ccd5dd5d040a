package drain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/nodepreload"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// process holds the open files of a process at one time, from /proc/PID/fd.
type process struct {
	pid     int
	pidfd   int            // pidfd of the process
	sockets map[uint64]int // inode -> number of a descriptor of this socket
	epolls  []int          // descriptors of epoll instances
	uring   bool           // whether the process has an io_uring, through which it may accept connections
	preload bool           // whether the process has the Node preload of clusterctl open
}

func (p process) hasSocket(ino uint64) bool {
	_, found := p.sockets[ino]
	return found
}

// readProcess returns the open files of a process. A process that has ended has no files.
func readProcess(pid int) (process, error) {
	p := process{pid: pid, sockets: make(map[uint64]int)}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, err := readNames(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		link, err := os.Readlink(dir + "/" + name)
		if err != nil {
			continue // the process has closed the descriptor
		}
		p.add(fd, link)
	}
	return p, nil
}

// The method add records descriptor fd. link is the text of the link /proc/PID/fd/FD.
func (p *process) add(fd int, link string) {
	if ino, ok := target.ParseSocketLink([]byte(link)); ok {
		p.sockets[ino] = fd
		return
	}
	switch link {
	case "anon_inode:[eventpoll]":
		p.epolls = append(p.epolls, fd)
	case "anon_inode:[io_uring]":
		p.uring = true
	default:
		if baseName(link) == nodepreload.FileName {
			p.preload = true
		}
	}
}

// readNames returns the names in a directory of /proc, which the kernel lists in numeric order.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// baseName returns the base name of a link in /proc, without " (deleted)", which marks a file that was removed or replaced.
func baseName(link string) string {
	return filepath.Base(strings.TrimSuffix(link, " (deleted)"))
}

// readProcesses returns the open files of the processes. If the files of one process cannot be read, the result is an
// error, because that process may have the listener open.
func readProcesses(pids []int, fds pidfds) ([]process, error) {
	list := make([]process, 0, len(pids))
	for _, pid := range pids {
		fd, known := fds[pid]
		if !known {
			continue
		}
		p, err := readProcess(pid)
		if err != nil {
			return nil, fmt.Errorf("reading the files of process %d: %w", pid, err)
		}
		if hasEnded(fd) {
			continue // another process may have this id now
		}
		p.pidfd = fd
		list = append(list, p)
	}
	return list, nil
}

// isNotifier reports whether the process is the notifier of an adopted program. A notifier has an executable with the
// base name in the parameter self, and its first argument is "notify".
func isNotifier(pid int, self string) bool {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || baseName(link) != self {
		return false
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	argv := strings.Split(string(args), "\x00")
	return len(argv) > 1 && argv[1] == NotifierArg
}

// The function catches reports whether the process has a handler for the signal. SigCgt in proc_pid_status(5) is a bit
// mask in hexadecimal whose lowest bit is signal 1.
func catches(pid int, sig unix.Signal) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if hex, found := strings.CutPrefix(line, "SigCgt:"); found {
			mask, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return err == nil && mask&(1<<(uint(sig)-1)) != 0
		}
	}
	return false
}

// The method signal sends sig to the process if check returns true for its id, and reports whether the signal was sent.
// If the process has ended and another process has its id, check is called for the other process. But no process gets the
// signal, because the pidfd refers to the ended process.
func (p process) signal(sig unix.Signal, check func(pid int) bool) (bool, error) {
	if !check(p.pid) {
		return false, nil
	}
	err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sending signal %d to process %d: %w", sig, p.pid, err)
	}
	return true, nil
}
