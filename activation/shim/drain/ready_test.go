package drain_test

import (
	"os"
	"path/filepath"
	"strings"
)

// isReady reports whether the worker is ready for connections. A worker is ready when it has created its file,
// or when a process in its cgroup has added the listener to an epoll instance.
func isReady(w *worker) bool {
	if _, err := os.Stat(w.ready); err == nil {
		return true
	}
	pids, _ := os.ReadFile(filepath.Join(w.cgroup, "cgroup.procs"))
	for pid := range strings.FieldsSeq(string(pids)) {
		infos, _ := filepath.Glob("/proc/" + pid + "/fdinfo/*")
		for _, info := range infos {
			text, _ := os.ReadFile(info)
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" && isListener(pid, f[1]) {
					return true
				}
			}
		}
	}
	return false
}

// isListener reports whether a descriptor of the process is the listener, which each worker inherits as descriptor 3.
func isListener(pid, number string) bool {
	link, err := os.Readlink("/proc/" + pid + "/fd/" + number)
	if err != nil {
		return false
	}
	three, err := os.Readlink("/proc/" + pid + "/fd/3")
	return err == nil && link == three && strings.HasPrefix(link, "socket:")
}
