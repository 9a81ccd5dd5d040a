// Package target reads another process through /proc: the address that a system call points to, and the kind, flags and
// inode of a descriptor.
//
// # Invariants
//
//   - The package does not write to the other process.
//   - The decoders are pure, and accept any bytes without a panic.
//   - The readers use raw system calls and the buffers of the Reader, and do not allocate, because the notifier is a forked
//     Go process without a scheduler.
//   - Only /proc/PID/mem and pidfd_getfd(2) need the right to attach (ptrace(2), "Ptrace access mode checking"), which Yama
//     may restrict; everything else needs the right to read.
package target
