// Package vm boots a whole virtual machine for what a container cannot show, because it shares the host's kernel: the
// memory and cpu controllers of cgroup v2, and Yama's ptrace_scope.
//
// The machine is qemu with Debian's cloud kernel. Its root file system is the image of package image, written as a
// cpio archive into the initramfs, with clusterctl, the shim and the program guest added to it: no disk, no network, no
// driver but two serial ports. The program guest is the machine's init, which becomes systemd, and then a unit that
// makes the checks and prints one line of JSON for each to the second port; the console is the first. When the checks
// are done the machine goes off.
//
//	go test -tags vm ./internal/lab/vm        (make vm)
//
// Where there is no KVM (or with CLUSTERCTL_VM_ACCEL=tcg) each instruction is emulated, which costs some 20 times the
// CPU: minutes.
//
// Nothing outlives the test: qemu dies with the thread that started it, and the files that it reads are in memory. What
// stays is the kernel, in the cache of package image.
package vm
