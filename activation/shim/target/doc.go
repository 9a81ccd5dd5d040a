// Package target looks at another process through /proc: the sockaddr that a
// system call points to, the kind, flags and inode of a descriptor.
//
// # Invariants
//
//   - Nothing here writes to the other process.
//   - The decoders are pure, and total on any bytes.
//   - The readers use raw system calls and the caller's buffer, and allocate
//     nothing, because the notifier is a forked Go process without a scheduler.
//   - Only /proc/PID/mem needs the right to attach (ptrace(2), "Ptrace access mode
//     checking"), which Yama may restrict; all else needs the right to read.
package target
