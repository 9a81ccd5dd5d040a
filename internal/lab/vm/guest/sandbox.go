package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// sandbox looks at what a worker may write to on a machine that is not a container, and at the limit of its slice.
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
	flags := map[string]string{}
	for line := range strings.Lines(string(mounts)) {
		// 36 35 98:0 /root /mount/point flags … (proc_pid_mountinfo(5)); the last one at a place is the one on top.
		if f := strings.Fields(line); len(f) > 5 {
			flags[f[4]] = f[5]
		}
	}
	var errs []error
	for _, at := range []string{"/", "/run", "/run/lock", "/sys/fs/cgroup", "/proc/sys"} {
		r.note("%s: %s", at, flags[at])
		if flags[at] != "" && !strings.HasPrefix(flags[at], "ro") {
			errs = append(errs, fmt.Errorf("a worker has %s as %q", at, flags[at]))
		}
	}
	if _, there := flags["/dev/shm"]; !there {
		errs = append(errs, errors.New("a worker has no /dev/shm of its own"))
	}
	limit, err := os.ReadFile("/sys/fs/cgroup/clusterctl.slice/clusterctl-hog.slice/pids.max")
	r.note("pids.max of the slice: %s", limit)
	if n, numErr := strconv.Atoi(strings.TrimSpace(string(limit))); err != nil || numErr != nil || n < 1000 {
		errs = append(errs, fmt.Errorf("pids.max of the slice is %q: %w", limit, errors.Join(err, numErr)))
	}
	return errors.Join(errs...)
}
