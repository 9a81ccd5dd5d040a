package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The type targets holds the processes and files that the attacks use.
type targets struct {
	pid     int      // a process of the same user outside of the sandbox
	secrets []string // paths of files that the worker must not be able to read
	kept    []string // paths of files that the worker must not be able to change
}

// An attack is an action that the sandbox must refuse.
type attack struct {
	name string
	// The function try runs the attack, and returns a description of the part that succeeded, or "" if no part
	// succeeded.
	try func(targets) string
}

// The function attacks returns all attacks.
func attacks() []attack {
	return []attack{
		{"read secrets", readSecrets},
		{"change protected files", changeProtected},
		{"create a file in a directory of the machine", writableDirectories},
		{"reach a process of the same user through /proc", throughProc},
		{"trace a process of the same user", traceProcesses},
		{"signal a process of the same user", signalProcesses},
		{"have a capability", capabilities},
		{"create a set-user-ID file", setUserID},
		{"use a system call that services do not need", systemCalls},
		{"create a device or mount", mountAndDevices},
		{"leave the cgroup", leaveCgroup},
		{"reach PID 1 as root", managerSockets},
		{"dump core without a limit", coreDump},
	}
}

// readSecrets tries to read each secret file through its path, and through the root directory of every visible process.
func readSecrets(v targets) string {
	var got []string
	for _, s := range v.secrets {
		for _, p := range append([]string{s}, belowRoots(s)...) {
			if b, err := os.ReadFile(p); err == nil && len(b) > 0 {
				got = append(got, p)
			}
		}
	}
	return strings.Join(got, ", ")
}

// belowRoots returns the path below /proc/PID/root of each visible process with another mount namespace.
func belowRoots(path string) []string {
	roots, _ := filepath.Glob("/proc/[0-9]*/root")
	var out []string
	for _, r := range roots {
		// Omit the worker's own root directory, because the caller reads its files without a prefix.
		if same, err := sameRoot(r); err == nil && !same {
			out = append(out, r+path)
		}
	}
	return out
}

// sameRoot reports whether a process has the mount namespace of the worker. The parameter root is the path /proc/PID/root
// of the process.
func sameRoot(root string) (bool, error) {
	pid := strings.Split(root, "/")[2]
	other, err := os.Readlink("/proc/" + pid + "/ns/mnt")
	if err != nil {
		return false, err
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	return own == other, err
}

// changeProtected tries to write, replace and rename the files that the worker must not change.
func changeProtected(v targets) string {
	var got []string
	for _, p := range v.kept {
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			f.Close()
			got = append(got, "write "+p)
		}
		created := filepath.Join(filepath.Dir(p), "hostile-new")
		if os.WriteFile(created, []byte("hostile"), 0o755) == nil {
			if os.Rename(created, p) == nil {
				got = append(got, "replace "+p)
			}
			_ = os.Remove(created)
		}
		if os.Rename(p, p+".hostile-moved") == nil {
			got = append(got, "rename "+p)
		}
	}
	return strings.Join(got, ", ")
}

// writableDirectories returns the directories of the whole file system in which the worker can create a file.
// writableDirectories omits the directories in which every worker may create files (see isWorkerDirectory).
func writableDirectories(targets) string {
	var got []string
	_ = filepath.WalkDir("/", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && d != nil && d.IsDir():
			return fs.SkipDir
		case err != nil || !d.IsDir():
			return nil
		case p == "/proc" || p == "/sys" || p == "/usr" || isWorkerDirectory(p):
			return fs.SkipDir
		}
		name := filepath.Join(p, "hostile-"+strconv.Itoa(os.Getpid()))
		if f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			f.Close()
			_ = os.Remove(name)
			got = append(got, p)
			return fs.SkipDir
		}
		return nil
	})
	return strings.Join(got, ", ")
}

// isWorkerDirectory reports whether p is the working directory of the worker, a private temporary directory, /dev/shm,
// /dev/mqueue or an empty home directory.
func isWorkerDirectory(p string) bool {
	wd, err := os.Getwd()
	return err == nil && wd != "/" && p == wd || p == "/tmp" || p == "/var/tmp" || p == "/dev/shm" || p == "/dev/mqueue" || emptyHome(p)
}

// emptyHome reports whether p is the private tmpfs that hides the home directories. Before systemd 257, a worker can
// create files in this tmpfs, but these files are not visible to other processes.
func emptyHome(p string) bool {
	var st unix.Statfs_t
	err := unix.Statfs(p, &st)
	return (p == "/home" || p == "/root" || p == "/run/user") && err == nil && st.Type == unix.TMPFS_MAGIC
}

// throughProc tries to open the root directory, the environment and the memory of processes outside of the sandbox.
func throughProc(v targets) string {
	var got []string
	for _, pid := range otherProcesses(v) {
		base := "/proc/" + strconv.Itoa(pid)
		if _, err := os.ReadDir(base + "/root/"); err == nil {
			if same, err := sameRoot(base + "/root"); err == nil && !same {
				got = append(got, base+"/root")
			}
		}
		if b, err := os.ReadFile(base + "/environ"); err == nil && len(b) > 0 {
			got = append(got, base+"/environ")
		}
		if f, err := os.OpenFile(base+"/mem", os.O_RDWR, 0); err == nil {
			f.Close()
			got = append(got, base+"/mem")
		}
	}
	return strings.Join(got, ", ")
}

// otherProcesses returns v.pid, and the PIDs of all visible processes outside of the worker's cgroup.
func otherProcesses(v targets) []int {
	var pids []int
	if v.pid > 0 {
		pids = append(pids, v.pid)
	}
	own, _ := os.ReadFile("/proc/self/cgroup")
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == v.pid {
			continue
		}
		other, err := os.ReadFile("/proc/" + e.Name() + "/cgroup")
		if err == nil && len(other) > 0 && !bytes.Equal(own, other) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// traceProcesses tries to trace processes outside of the sandbox, and to read their memory.
func traceProcesses(v targets) string {
	var got []string
	for _, pid := range otherProcesses(v) {
		if unix.PtraceSeize(pid) == nil {
			_ = unix.PtraceDetach(pid)
			got = append(got, fmt.Sprint("ptrace ", pid))
		}
		var b [1]byte
		local := []unix.Iovec{{Base: &b[0], Len: 1}}
		if _, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: 1}}, 0); err == nil ||
			errors.Is(err, unix.EFAULT) {
			got = append(got, fmt.Sprint("process_vm_readv ", pid))
		}
	}
	return strings.Join(got, ", ")
}

// signalProcesses sends signal 0 to processes outside of the sandbox.
func signalProcesses(v targets) string {
	var got []string
	for _, pid := range otherProcesses(v) {
		if unix.Kill(pid, 0) == nil {
			got = append(got, strconv.Itoa(pid))
		}
	}
	return strings.Join(got, ", ")
}

// The function capabilities returns the lines of /proc/self/status that show a capability, a missing NoNewPrivileges= or
// a missing system call filter.
func capabilities(targets) string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	want := map[string]string{"CapInh": "0", "CapPrm": "0", "CapEff": "0", "CapAmb": "0", "CapBnd": "0", "NoNewPrivs": "1", "Seccomp": "2"}
	var got []string
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if w, ok := want[key]; ok && strings.TrimLeft(value, "0") != strings.TrimLeft(w, "0") {
			got = append(got, key+"="+value)
		}
	}
	return strings.Join(got, ", ")
}

// setUserID tries to create a file with the set-user-ID bit.
func setUserID(targets) string {
	const name = "hostile-setuid"
	for _, dir := range []string{".", "/tmp"} {
		p := filepath.Join(dir, name)
		if os.WriteFile(p, []byte("#!/bin/sh\n"), 0o700) != nil {
			continue
		}
		err := unix.Chmod(p, 0o4755)
		_ = os.Remove(p)
		if err == nil {
			return p
		}
	}
	return ""
}

// systemCalls runs system calls that the filter must refuse for all arguments. The filter returns EPERM.
func systemCalls(targets) string {
	var got []string
	for _, c := range []struct {
		name string
		nr   uintptr
	}{
		{"io_uring_setup", unix.SYS_IO_URING_SETUP}, {"bpf", unix.SYS_BPF}, {"perf_event_open", unix.SYS_PERF_EVENT_OPEN},
		{"keyctl", unix.SYS_KEYCTL}, {"userfaultfd", unix.SYS_USERFAULTFD}, {"setns", unix.SYS_SETNS}, {"unshare", unix.SYS_UNSHARE},
		{"kexec_load", unix.SYS_KEXEC_LOAD}, {"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT}, {"init_module", unix.SYS_INIT_MODULE},
		{"reboot", unix.SYS_REBOOT}, {"swapon", unix.SYS_SWAPON}, {"settimeofday", unix.SYS_SETTIMEOFDAY},
	} {
		var first uintptr
		if c.nr == unix.SYS_UNSHARE {
			first = unix.CLONE_NEWUSER
		}
		if _, _, e := unix.Syscall(c.nr, first, 0, 0); e != unix.EPERM && e != unix.ENOSYS {
			got = append(got, fmt.Sprintf("%s (%v)", c.name, e))
		}
	}
	return strings.Join(got, ", ")
}

// mountAndDevices tries to mount and unmount file systems, to create a device, and to open devices.
func mountAndDevices(targets) string {
	var got []string
	if unix.Mount("none", "/tmp", "tmpfs", 0, "") == nil {
		got = append(got, "mount")
	}
	if unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") == nil {
		got = append(got, "remount /")
	}
	if unix.Unmount("/tmp", unix.MNT_DETACH) == nil {
		got = append(got, "umount")
	}
	if unix.Mknod("/tmp/hostile-device", unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))) == nil {
		got = append(got, "mknod")
	}
	for _, dev := range []string{"/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/fuse", "/dev/kvm"} {
		if fd, err := unix.Open(dev, unix.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
			unix.Close(fd)
			got = append(got, dev)
		}
	}
	return strings.Join(got, ", ")
}

// leaveCgroup tries to open files of cgroups and of kernel settings for writing. With a writable cgroup file, a process
// could move to another cgroup, and systemd would not stop the process there.
func leaveCgroup(targets) string {
	var got []string
	procs, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	more, _ := filepath.Glob("/sys/fs/cgroup/*/*/cgroup.procs")
	files := append(append([]string{"/sys/fs/cgroup/cgroup.procs"}, procs...), more...)
	for _, f := range append(files, "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper") {
		if fd, err := unix.Open(f, unix.O_WRONLY, 0); err == nil {
			unix.Close(fd)
			got = append(got, f)
		}
	}
	return strings.Join(got, ", ")
}

// managerSockets tries to connect to the sockets of daemons that execute the commands of every process with user ID 0.
// For other users, managerSockets returns "", because the daemons check the rights of these users.
func managerSockets(targets) string {
	if os.Getuid() != 0 {
		return ""
	}
	var got []string
	for _, s := range []string{"/run/systemd/private", "/run/dbus/system_bus_socket", "/run/systemd/io.systemd.Manager",
		"/run/systemd/io.systemd.sysext",
		"/run/udev/control", "/run/docker.sock", "/run/initctl"} {
		c, err := net.Dial("unix", s)
		if err != nil {
			c, err = net.Dial("unixpacket", s)
		}
		if err == nil {
			c.Close()
			got = append(got, s)
		}
	}
	return strings.Join(got, ", ")
}

// coreDump returns the limit for core dumps if this limit is above 4 GiB.
func coreDump(targets) string {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil || l.Cur > 4<<30 {
		return fmt.Sprintf("core limit %d", l.Cur)
	}
	return ""
}
