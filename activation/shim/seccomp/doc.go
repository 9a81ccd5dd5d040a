// Package seccomp installs a seccomp(2) filter that hands bind(2), listen(2), shutdown(2)
// and, when asked, accept(2) of a program to another process, and speaks the notifier's
// side of that protocol, seccomp_unotify(2).
//
// It knows nothing of listeners and of systemd: see package adopt.
//
// # Invariants
//
//   - A call of a foreign architecture is never shown.
//   - The methods of FD make one system call, allocate nothing and never enter
//     the Go scheduler.
package seccomp
