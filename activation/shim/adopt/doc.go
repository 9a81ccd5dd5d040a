// Package adopt lets an unmodified program serve on a listener that systemd holds.
//
// The program calls socket, bind and listen as usual. A seccomp filter, installed just before the program is executed,
// passes the calls of bind, listen and shutdown to a notifier, a second small process in the same unit:
//
//   - bind(2) to the port of an inherited listener: the notifier replaces the program's socket by this listener, and the
//     call succeeds.
//   - listen(2) on an inherited listener: the call succeeds and does not change the socket, which keeps the backlog of
//     Backlog=. When the program has called listen on all listeners, the notifier sends READY=1.
//   - shutdown(2) on an inherited listener: the call succeeds without effect, because it would end listening in all
//     processes that share the socket.
//
// The kernel runs every other call unchanged.
//
// # Processes
//
// systemd starts the launcher. The launcher forks twice, and the first child ends at once, so that the second child, the
// notifier, becomes a child of the service manager. A program that waits for all its children therefore does not wait for
// the notifier. Then the launcher becomes the program by execve(2), so systemd gets the main PID, the exit status and the
// core dumps of the program itself.
//
// The notifier is the forked launcher itself, not a new program: it has one thread, no garbage collector and no monitor
// thread, so it never wakes up while its program sleeps (an ordinary Go program wakes every minute). Therefore code that
// runs after the fork must not allocate, start a goroutine or wait in the Go scheduler. It may only make raw system calls,
// with memory that was allocated before the fork. Start turns the garbage collector off before the fork.
//
// # Memory
//
// A notifier keeps the heap of the launcher, most of which belongs to the Go runtime. With Go 1.26 the private memory of
// one notifier (Private_* of /proc/PID/smaps_rollup) is 0.7 MB on 2 CPUs, 1.2 MB on 32 CPUs and 2.6 MB on 128 CPUs. Without
// the heap, it would be 0.3, 0.4 and 0.6 MB. All notifiers share another 0.6 MB, the program file of the shim.
//
// To unmap the heap, the notifier would need the addresses of the goroutine's descriptor, stack and thread-local storage.
// This requires assembly for each architecture, and the layout of the runtime's structures in each Go release. So the
// notifier keeps the heap.
//
// # Invariants
//
//   - The notifier reads the memory of the program and never writes it. It uses this data only if the kernel confirms that
//     the call still waits (NOTIF_ID_VALID).
//   - O_NONBLOCK of a shared open file description is never changed.
//   - The listener gets the O_CLOEXEC flag of the descriptor that it replaces.
//   - If the notifier cannot decide about a call, the kernel runs the call, and the notifier logs the reason once.
//   - The notifier ends after the last process with the filter, not before: without a notifier each bind would fail with
//     ENOSYS.
//
// # Programs that wait in accept
//
// A program that never polls needs a blocking listener: NonBlocking=no in every unit that inherits the listener. With
// O_NONBLOCK, all four instances of a plain C server ended within a second, because accept fails when another instance
// has accepted the connection, and the server ends when accept fails. With Config.HoldAccept, the filter passes each
// accept to the notifier. The notifier holds the call during a drain, and otherwise lets the kernel run it as usual.
// HoldAccept reduces the rate of new connections by 13 to 33 %. In 24 rolling restarts under 9,000 requests a second no
// request was lost; without HoldAccept 15 were lost. As an alternative, the notifier could call accept itself and pass
// the connection to the program. This alternative would also work with O_NONBLOCK. But the notifier would have to write
// the client's address into the program's memory, and a signal between accept and this write would lose the connection.
//
// # What is not a security boundary
//
// A thread of the program may change the sockaddr after the notifier has read it and before the kernel does. The program
// gains nothing by this: the kernel never runs a bind that matches a listener, and the program can only get a listener of
// its own unit.
//
// The notifier respects one boundary: a program may run a child as another user, or in other namespaces, to protect itself
// from the child. The kernel runs the bind of such a child; see owner.
//
// # Limits
//
//   - If a program adds its socket to an epoll instance before bind, epoll watches the replaced socket, not the listener.
//     Socket options that a program sets before bind are set on the listener, too (package sockopt), except socket filters
//     and the keys of TCP-MD5 and TCP-AO, which cannot be read.
//   - The notifier prevents a program from removing the file of a Unix listener (paths.go), except through io_uring, whose
//     unlink and rename do not pass a seccomp filter. A program that binds another path and renames the file to the
//     listener's path is not adopted.
//   - getsockname(2) returns the address of the unit, which may differ from the address that the program asked for (Want).
//     Most programs do not call it. The workers of Node's cluster module compare the port and fail with EADDRINUSE, so such
//     an app must listen on the port of its unit.
//   - io_uring's bind and listen (Linux 6.11), shutdown and connect do not pass a seccomp filter.
//   - A hostile worker can still shut the listener down. It can call connect(2) with AF_UNSPEC: the filter does not pass
//     this call to the notifier, because it would have to pass every outgoing connection. Or it can call dup2(2) while the
//     notifier reads the descriptor. Then poll(2) reports POLLHUP to all notifiers, and they listen again. The connections
//     in the queue are lost, and new ones are refused for a moment.
//   - When Yama's ptrace_scope is 1, the notifier can read forked children of the program only with CAP_SYS_PTRACE; see
//     Config.OwnPtrace. At 2, the notifier needs this capability to read the program, too. At 3, it cannot read any
//     process.
package adopt
