package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// sandbox checks that /sys/fs/cgroup is read-only for a worker, and that the slice of the app limits the number of
// processes.
func (r *reporter) sandbox() error {
	if err := r.mustInstall(hogArgs("hog", "-i", strconv.Itoa(instances))...); err != nil {
		return err
	}
	pid, err := r.property("hog@1.service", "MainPID")
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return err
	}
	flags := ""
	for line := range strings.Lines(string(mounts)) {
		// 36 35 98:0 /root /mount/point flags … (proc_pid_mountinfo(5)). If a mount point has several lines, the last line
		// is the visible mount.
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/sys/fs/cgroup" {
			flags = f[5]
		}
	}
	limit, err := os.ReadFile("/sys/fs/cgroup/clusterctl.slice/clusterctl-hog.slice/pids.max")
	if err != nil {
		return err
	}
	r.note("cgroups of a worker: %s; pids.max of the slice: %s", flags, limit)
	if !strings.HasPrefix(flags, "ro,") {
		return fmt.Errorf("/sys/fs/cgroup of a worker has the flags %q, want ro", flags)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(limit))); err != nil || n < 1000 {
		return fmt.Errorf("pids.max of the slice is %q, want 1000 or more", limit)
	}
	return nil
}
