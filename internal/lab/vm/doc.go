// Package vm boots a virtual machine, for what the containers of package lab cannot show. They share the host's kernel and its
// cgroups, so what they show of the following is the host's, or missing:
//
//   - "yama 1: node": the shim with Yama's ptrace_scope at 1, as on Ubuntu. The notifier reads the memory of a program only
//     after PR_SET_PTRACER, and the drain of a reload takes descriptors out of the program with pidfd_getfd(2). A container
//     cannot set the scope for itself, and many hosts of containers have no Yama.
//   - "yama 1: below a shell": a child of the program is not readable at all, so an install explains --own-ptrace, and the
//     flag helps. Without Yama the flag changes nothing that a test could see.
//   - "sandbox": the unit makes /sys/fs/cgroup read-only. In a container it is read-only anyway. TasksMax= of the slice is in the
//     cgroup, which needs the pids controller.
//   - "MemoryMax=": the OOM killer ends one worker, systemd restarts that worker alone, the siblings answer every request,
//     and the journal has the reason. It needs the memory controller.
//
// All else is tested faster elsewhere: Node and its cluster module without Yama by package matrix, the number of instances
// under CPUQuota= and AllowedCPUs= by TestCPUs of package control and TestResolve of package units.
//
// The machine is qemu with Debian's cloud kernel. Its root file system is the image of package image, written as a
// cpio archive into the initramfs, with clusterctl, the shim and the program guest added to it: no disk, no network, no
// driver but two serial ports. The program guest is the machine's init, which becomes systemd, and then a unit that
// makes the checks and prints one line of JSON for each to the second port; the console is the first. When the checks
// are done the machine goes off.
//
//	go test -tags vm ./internal/lab/vm        (make vm)
//
// Without KVM (or with CLUSTERCTL_VM_ACCEL=tcg) qemu emulates each instruction. Then the checks take some 130 s of CPU time.
//
// Nothing outlives the test: qemu dies with the thread that started it, and the files that it reads are in memory. What
// stays is the kernel, in the cache of package image.
package vm
