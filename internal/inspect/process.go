package inspect

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/sockdiag"
)

func (h Host) process(pid int, file string) string {
	return filepath.Join(h.Proc, strconv.Itoa(pid), file)
}

// isEnded reports whether the error means that the process has ended.
func isEnded(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// SocketsOf returns the inodes of the sockets that the processes have open. It returns false if it cannot read the
// descriptors of a process. Only root and the user of a process can read its descriptors.
func (h Host) SocketsOf(pids []int) (map[uint64]bool, bool) {
	held := make(map[uint64]bool)
	for _, pid := range pids {
		dir := h.process(pid, "fd")
		f, err := os.Open(dir)
		if isEnded(err) {
			continue
		}
		if err != nil {
			return nil, false
		}
		names, err := f.Readdirnames(-1)
		_ = f.Close()
		if err != nil && !isEnded(err) {
			return nil, false
		}
		for _, name := range names {
			link, err := os.Readlink(dir + "/" + name)
			if err != nil {
				continue // the descriptor was closed in the meantime
			}
			if ino, ok := socketInode(link); ok {
				held[ino] = true
			}
		}
	}
	return held, true
}

// socketInode returns the inode number N of a link "socket:[N]", and false for other links.
func socketInode(link string) (uint64, bool) {
	number, opened := strings.CutPrefix(link, "socket:[")
	number, closed := strings.CutSuffix(number, "]")
	ino, err := strconv.ParseUint(number, 10, 64)
	return ino, err == nil && opened && closed
}

// Environ returns the variables with which a process was started, in the form NAME=VALUE and in the original order.
func (h Host) Environ(pid int) ([]string, error) {
	text, err := os.ReadFile(h.process(pid, "environ"))
	return parseEnviron(text), err
}

func parseEnviron(text []byte) []string {
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == 0 })
}

// Working reports whether one of the processes is running, is ready to run, or waits for a disk.
func (h Host) Working(pids []int) bool {
	for _, pid := range pids {
		text, err := os.ReadFile(h.process(pid, "stat"))
		if err == nil && workingState(text) {
			return true
		}
	}
	return false
}

// workingState reports whether the state in /proc/PID/stat (proc_pid_stat(5)) is R or D. In this file, the state follows the
// name of the process, which is in parentheses.
func workingState(text []byte) bool {
	_, rest, found := bytes.Cut(text[max(bytes.LastIndexByte(text, ')'), 0):], []byte(") "))
	return found && (bytes.HasPrefix(rest, []byte("R")) || bytes.HasPrefix(rest, []byte("D")))
}

// Process is a process with its name.
type Process struct {
	PID  int
	Name string
}

// Holder returns a process that has a TCP listener or, if udp is true, a UDP socket on a port. If a worker and PID 1
// have the same socket open, it returns the worker. Without root, it finds only processes of the caller.
func (h Host) Holder(udp bool, port uint16) (Process, bool) {
	conn, err := sockdiag.Open()
	if err != nil {
		return Process{}, false
	}
	defer conn.Close()
	var inodes []uint64
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, _ := conn.TCP(family, sockdiag.Listen, port, false) // an error means that the kernel does not support IPv6
		if udp {
			found, _ = conn.UDP(family, port)
		}
		for _, s := range found {
			inodes = append(inodes, s.Ino)
		}
	}
	if len(inodes) == 0 {
		return Process{}, false
	}
	entries, _ := os.ReadDir(h.Proc)
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	// Check PID 1 last, because a worker with the same socket is preferred.
	slices.Sort(pids)
	if len(pids) > 0 && pids[0] == 1 {
		pids = append(pids[1:], 1)
	}
	for _, pid := range pids {
		held, _ := h.SocketsOf([]int{pid})
		if slices.ContainsFunc(inodes, func(ino uint64) bool { return held[ino] }) {
			name, _ := os.ReadFile(h.process(pid, "comm"))
			return Process{pid, strings.TrimSpace(string(name))}, true
		}
	}
	return Process{}, false
}
