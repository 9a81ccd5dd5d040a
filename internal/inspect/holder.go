package inspect

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/sockdiag"
)

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
