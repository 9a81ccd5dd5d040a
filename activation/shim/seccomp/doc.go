// Package seccomp installs a seccomp(2) filter that shows the calls of bind(2), listen(2), shutdown(2) and optionally
// accept(2) of a program to another process, the notifier. It also contains the notifier's side of this protocol,
// seccomp_unotify(2).
//
// The package does not know listeners and systemd; see package adopt.
//
// # Invariants
//
//   - The filter never shows a call of a foreign architecture.
//   - A method of FD makes one system call, does not allocate and never enters the Go scheduler.
package seccomp
