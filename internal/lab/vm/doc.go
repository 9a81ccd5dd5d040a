// Package vm boots a virtual machine, for tests that the containers of package lab cannot run, because containers share the
// kernel and the cgroups of the host:
//
//   - "yama 1: node": the shim with Yama's ptrace_scope at 1, as on Ubuntu. The notifier may read the memory of a program only
//     after PR_SET_PTRACER, and the drain of a reload takes descriptors out of the program with pidfd_getfd(2). A container
//     cannot set ptrace_scope for itself, and many hosts of containers have no Yama.
//   - "yama 1: below a shell": a child of the program is not readable at all, so an install explains --own-ptrace, and the
//     flag helps. Without Yama the flag has no effect that a test could see.
//   - "sandbox": the unit makes /sys/fs/cgroup read-only. In a container it is always read-only. TasksMax= of the slice needs
//     the pids controller.
//   - "MemoryMax=": the OOM killer ends one worker, systemd restarts only that worker, the other instances answer every
//     request, and the journal has the reason. It needs the memory controller.
//
// Everything else is tested faster in other packages: Node and its cluster module without Yama by package matrix, the number
// of instances under CPUQuota= and AllowedCPUs= by TestCPUs of package control and TestResolve of package units.
//
// The machine is qemu with Debian's cloud kernel. Its root file system is the image of package image, written as a cpio
// archive into the initramfs, together with clusterctl, the shim and the program guest. It has no disk and no network, and
// two serial ports are its only devices. The program guest is the machine's init, which becomes systemd. Then guest runs as
// a unit. It makes the checks, and prints one line of JSON per check to the second port. The first port is the console. The
// machine powers off when the checks are done.
//
//	go test -tags vm ./internal/lab/vm        (make vm)
//
// Without KVM (or with CLUSTERCTL_VM_ACCEL=tcg) qemu emulates each instruction. Then the checks take about 130 s of CPU time.
//
// No process outlives the test: qemu dies with the thread that started it, and the files that it reads are in memory. Only
// the kernel stays, in the cache of package image.
package vm
