// Package adopt lets an unmodified program serve on a listener that systemd holds.
//
// The program calls socket, bind and listen as usual. A seccomp filter, installed just before the program is executed,
// passes the calls of bind, listen and shutdown to a notifier, a second small process in the same unit:
//
//   - A bind that asks for the port of an inherited listener: the notifier puts that listener on the program's descriptor,
//     and the call succeeds.
//   - A listen on such a listener: the call succeeds without changing the socket, so the backlog is the one of Backlog=.
//     When the program has called listen on all listeners, the notifier sends READY=1.
//   - A shutdown on such a listener: the call succeeds without effect, since it would end listening in all processes that
//     share the socket.
//
// The kernel runs every other call unchanged.
//
// # Processes
//
// systemd starts the launcher. The launcher forks twice to make the notifier, so the notifier becomes a child of the service
// manager: a program that waits for all its children does not find an unknown one. Then the launcher becomes the program by
// execve(2), so main PID, exit status, signals and core dumps are the program's.
//
// The notifier is the forked launcher itself, not a new program: it has one thread, no garbage collector and no monitor
// thread, so it never wakes up while its program sleeps (an ordinary Go program wakes every minute). Therefore code that
// runs after the fork must not allocate, start a goroutine or wait in the Go scheduler. It may only make raw system calls on
// memory that existed before. No garbage collection runs at the time of the fork.
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
// number of CPUs. On 2 CPUs the numbers are the same within 10 % on systemd 257, and with 1 and 16 workers. All notifiers
// share another 600 KB, the shim's program file.
//
// Giving the heap back needs the addresses of the goroutine's descriptor, its stack and its thread-local storage: assembly
// for each architecture, and the layout of the runtime's structures in each Go release. It saves less than 1 MB per worker
// on up to 32 CPUs, so the notifier does not do it.
//
// # Invariants
//
//   - The notifier reads the memory of the program and never writes it. It uses what it has read only after NOTIF_ID_VALID.
//   - O_NONBLOCK of a shared open file description is never changed.
//   - The descriptor keeps the O_CLOEXEC that the program has set.
//   - If the notifier cannot decide about a call, the kernel runs the call, and the notifier logs the reason once.
//   - The notifier ends after the last process with the filter, not before: without a notifier each bind would fail with
//     ENOSYS.
//
// # Programs that wait in accept
//
// A program that never polls needs a blocking listener: NonBlocking=no in every unit that inherits the listener. With
// O_NONBLOCK, all four instances of a plain C server ended within a second, each at its first accept for which a sibling was
// faster. With Config.HoldAccept the notifier sees each accept. It lets the kernel run the call, which blocks, queues and
// fills in the client's address as usual. It holds the call only while the instance is drained. This costs 13 to 33 % of the
// rate of new connections. In 24 rolling restarts under 9,000 requests a second no request was lost; without HoldAccept 15
// were lost. The notifier could also accept and pass the connection to the program. That would work with O_NONBLOCK too, but
// the notifier would have to write the client's address into the program's memory, and a signal in between would lose a
// connection.
//
// # What is not a security boundary
//
// A thread of the program may change the sockaddr after the notifier has read it and before the kernel does. It gains
// nothing: the kernel never runs a bind that matches, and the program can only get a listener of its unit.
//
// One boundary is kept: a program may run a child as another user, or in other namespaces, to protect itself from the child.
// The kernel runs the bind of such a child; see owner.
//
// # Limits
//
//   - Epoll registrations made before bind stay on the socket that the listener replaces. Socket options that a program sets
//     before bind are set on the listener, too (package sockopt), except socket filters and the keys of TCP-MD5 and TCP-AO,
//     which cannot be read.
//   - The notifier protects the file of a Unix listener; see paths.go. io_uring's unlink and rename do not pass a seccomp
//     filter. A program that binds another path and renames the file to the listener's path is not adopted.
//   - getsockname(2) returns the address of the unit, which may differ from the address that the program asked for (Want).
//     Most programs do not look. The workers of Node's cluster module compare the port and fail with EADDRINUSE, so such an
//     app must listen on the port of its unit.
//   - io_uring's bind and listen (Linux 6.11), shutdown and connect do not pass a seccomp filter.
//   - A hostile worker can still shut the listener down: by connect(2) with AF_UNSPEC, which the filter does not show, since
//     it would have to show every outgoing connection; or by a dup2(2) while the notifier looks at the descriptor. Then all
//     notifiers see POLLHUP and listen again. The connections in the queue are lost, and new ones are refused for a moment.
//   - When Yama's ptrace_scope is 1, the notifier can read forked children of the program only with CAP_SYS_PTRACE; see
//     Config.OwnPtrace. At 2 it needs this capability for the program too, and at 3 it can read no process.
package adopt
