// Package vm boots a virtual machine, for tests that the containers of package lab cannot run, because containers share the
// kernel and the cgroups of the host:
//
//   - "yama 1: node": Yama's ptrace_scope is 1, as on Ubuntu. The shim may then read the memory of a program
//     only after PR_SET_PTRACER. Each reload copies descriptors of the program with pidfd_getfd(2). A container
//     cannot set ptrace_scope only for itself, and many hosts have no Yama.
//   - "yama 1: below a shell": the shim may not read the memory of a child of the program, so the install fails and suggests
//     --own-ptrace. With this flag, the install must work. Without Yama, the flag has no effect.
//   - "sandbox": the sandbox makes /sys/fs/cgroup read-only, which it always is in a container. TasksMax= of the slice needs
//     the pids controller.
//   - "MemoryMax=": the OOM killer ends one worker, systemd restarts only this worker, the other instance answers all
//     requests, and the journal has the reason. This check needs the memory controller.
//
// Related tests run in containers, which is faster: package matrix tests Node and its cluster module without Yama. TestCPUs
// in package control and TestResolve in package units test the number of instances under CPUQuota= and AllowedCPUs=.
//
// The machine is qemu with Debian's cloud kernel. Its root file system is an initramfs with the files of an image of package
// image, clusterctl, the shim and the program guest. The machine has two serial ports, but no disk and no network. The
// kernel starts the program guest as init. The program prepares the machine and executes systemd. A unit then runs guest
// again, which runs the checks and prints a line of JSON for each check to the second serial port. The first port is the
// console. The machine powers off after the checks.
//
//	go test -tags vm ./internal/lab/vm        (make vm)
//
// Without KVM (or with CLUSTERCTL_VM_ACCEL=tcg), qemu emulates each instruction, and the checks take about 130 s of CPU
// time.
//
// No process and no file remains after a test: the kernel kills qemu when the thread that started qemu ends, and the files
// of qemu are in memory. Only the downloaded kernel remains in the cache of package image.
package vm
