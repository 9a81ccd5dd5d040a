// Package adopt lets an unmodified program serve on a listener that systemd holds.
//
// The program calls socket, bind and listen as ever. A seccomp filter, installed
// just before the program is executed, hands bind and listen to a notifier, a
// second small process in the same unit. A bind that asks for the port of an
// inherited listener is answered by putting that listener on the program's
// descriptor; listen on it is answered with success (so Backlog= stays what the
// unit says) and is the moment for READY=1. shutdown on it is answered without
// being done, since it would end listening for all who share it. Every other call
// goes to the kernel as it is.
//
// # Processes
//
// The launcher is what systemd starts. It forks the notifier twice over, so that
// it is nobody's child but the service manager's: a program that waits for all its
// children is not surprised by one. Then the launcher becomes the program by
// execve(2), so main PID, exit status, signals and core dumps are the program's.
//
// The notifier is the forked launcher itself, not a new program: it has one
// thread, no garbage collector and no monitor thread, so that nothing at all
// wakes up in it while its program sleeps (a started Go program wakes every
// minute). The price is a rule: behind the fork nothing may allocate, start a
// goroutine or wait in the Go scheduler. Only raw system calls on memory that
// existed before. No garbage collection is under way at the fork.
//
// # Memory
//
// A notifier keeps the launcher's heap, most of which is the Go runtime's own and grows with the number of CPUs. The private
// memory of one notifier (Private_Clean and Private_Dirty of /proc/PID/smaps_rollup) in KB, with Go 1.26.8:
//
//	CPUs                              2    16    32    64   128
//	private memory                  728   947  1164  1665  2578
//	if the heap were given back     289   322   361   446   594
//
// Each number is the mean of 12 notifiers, 4 each of a Node, a Python and a Go program, on systemd 252; GOMAXPROCS sets the
// number of CPUs. On 2 CPUs the numbers are the same within 10 % on systemd 257, and with 1 and 16 workers. All notifiers share
// another 600 KB, the shim's program file.
//
// Giving the heap back needs the addresses of the goroutine's descriptor, its stack and its thread-local storage: assembly for
// each architecture, and the layout of the runtime's structures in each Go release. It saves less than 1 MB per worker on up to
// 32 CPUs, so the notifier does not do it.
//
// # Invariants
//
//   - The memory of the program is read, never written, and what was read counts
//     only after NOTIF_ID_VALID.
//   - O_NONBLOCK of a shared open file description is never changed.
//   - O_CLOEXEC of the descriptor is what the program asked for.
//   - Whatever cannot be decided goes to the kernel, and is said once in the log.
//   - The notifier leaves when the last process with the filter has gone, not
//     before: without it each bind would fail with ENOSYS.
//
// # Programs that wait in accept
//
// A program that never polls needs a blocking listener: NonBlocking=no in every
// unit that inherits it. With O_NONBLOCK, four of four instances of a plain C
// server were gone within a second, each at the first accept that a sibling had
// won. With Config.HoldAccept the notifier lets each accept into the kernel, which
// then blocks, queues and fills in the client's address as ever, and holds it back
// only while the instance is drained. It costs 13 to 33 % of the rate of new
// connections, and 24 rolling restarts under 9,000 requests a second lost none,
// where the same without it lost 15. Accepting in the notifier and handing the
// connection over would work with O_NONBLOCK too, but has to write the client's
// address into the program's memory, and a signal in between loses a connection.
//
// # What is not a security boundary
//
// A thread of the program may change the sockaddr between our look and the
// kernel's. It gains nothing: a bind that matches is never run by the kernel, and
// a listener that the unit owns is all that can be had.
//
// What is one: a program that runs a child as another user, or in other
// namespaces, to protect itself from it. The bind of such a child goes to the
// kernel; see owner.
//
// # Limits
//
//   - Epoll registrations made before bind are on the socket that the listener
//     replaces. Socket options that a program sets before bind are set on the
//     listener, too (package sockopt), except socket filters and the keys of
//     TCP-MD5 and TCP-AO, which cannot be read.
//   - The notifier keeps the file of a Unix listener, see paths.go. io_uring's unlink and rename do not pass a seccomp
//     filter. A program that binds another path and renames the file to the listener's path is not adopted.
//   - getsockname(2) tells the program the truth. Where the unit's port is not the
//     program's (Want), few programs mind; Node's cluster module does: its workers
//     compare the port and fail with EADDRINUSE. Such an app needs its own port.
//   - io_uring's bind and listen (Linux 6.11), shutdown and connect do not pass a seccomp filter.
//   - A hostile worker can still shut the listener down: by connect(2) with AF_UNSPEC, which is not shown, since every
//     outgoing connection would be; or by a race of dup2(2) with our look at the descriptor. All notifiers see POLLHUP then
//     and listen again. What was in the queue is lost, and connections are refused for that moment.
//   - When Yama's ptrace_scope is 1, forked children of the program can only be
//     read with CAP_SYS_PTRACE; see Config.OwnPtrace. At 2 this holds for the
//     program too, and at 3 nothing can be read.
package adopt
