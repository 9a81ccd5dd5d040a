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

// gone reports whether the error only means that the process has ended.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// SocketsOf returns the inodes of the sockets that the processes hold. It returns false if the descriptors of a process
// cannot be read. Only root and the owner of a process can read them.
func (h Host) SocketsOf(pids []int) (map[uint64]bool, bool) {
	held := make(map[uint64]bool)
	for _, pid := range pids {
		dir := h.process(pid, "fd")
		f, err := os.Open(dir)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, false
		}
		names, err := f.Readdirnames(-1)
		_ = f.Close()
		if err != nil && !gone(err) {
			return nil, false
		}
		for _, name := range names {
			link, err := os.Readlink(dir + "/" + name)
			if err != nil {
				continue // it was closed in the meantime
			}
			if ino, ok := socketInode(link); ok {
				held[ino] = true
			}
		}
	}
	return held, true
}

// socketInode returns N from the link "socket:[N]".
func socketInode(link string) (uint64, bool) {
	number, opened := strings.CutPrefix(link, "socket:[")
	number, closed := strings.CutSuffix(number, "]")
	ino, err := strconv.ParseUint(number, 10, 64)
	return ino, err == nil && opened && closed
}

// Environ returns the environment with which a process was started, as NAME=VALUE, in its order.
func (h Host) Environ(pid int) ([]string, error) {
	text, err := os.ReadFile(h.process(pid, "environ"))
	if err != nil {
		return nil, err
	}
	return parseEnviron(text), nil
}

func parseEnviron(text []byte) []string {
	var vars []string
	for _, one := range bytes.Split(text, []byte{0}) {
		if len(one) > 0 {
			vars = append(vars, string(one))
		}
	}
	return vars
}

// Working reports whether any of the processes runs, or waits for a CPU or a disk.
func (h Host) Working(pids []int) bool {
	for _, pid := range pids {
		text, err := os.ReadFile(h.process(pid, "stat"))
		if err == nil && workingState(text) {
			return true
		}
	}
	return false
}

// workingState reports whether the state in /proc/PID/stat (proc_pid_stat(5)) is R or D. The state follows the name in
// parentheses.
func workingState(text []byte) bool {
	_, rest, found := bytes.Cut(text[max(bytes.LastIndexByte(text, ')'), 0):], []byte(") "))
	return found && (bytes.HasPrefix(rest, []byte("R")) || bytes.HasPrefix(rest, []byte("D")))
}

// Process is a process with its name.
type Process struct {
	PID  int
	Name string
}

// Holder returns a process that has the port open: a TCP listener or, if udp is true, a UDP socket. It prefers a worker to
// PID 1, which holds the socket of the worker, too. Without root it finds only processes of the caller.
func (h Host) Holder(udp bool, port uint16) (Process, bool) {
	conn, err := sockdiag.Open()
	if err != nil {
		return Process{}, false
	}
	defer conn.Close()
	var inodes []uint64
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, _ := conn.TCP(family, sockdiag.Listen, port, false) // the kernel may have no IPv6
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
	// PID 1 is checked last.
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
