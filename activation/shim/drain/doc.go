// Package drain lets one worker finish its requests before it is stopped, from outside and without the help of the program.
// ExecStop= of every instance with a shared socket runs it as root, before systemd sends SIGTERM:
//
//	ExecStop=-+:/usr/lib/clusterctl/clusterctl-shim drain [flags]
//
// # What it does
//
//  1. It finds the processes of the instance, which are in its own cgroup, and the listeners that they share with the
//     service manager: the manager has sockets with the same inode. It ignores other listeners of the program, such as a
//     metrics port, which answers health checks until the end.
//  2. It removes each shared listener from every epoll instance of these processes (EPOLL_CTL_DEL on the same open file
//     descriptions, which it gets by pidfd_getfd). Nothing is closed, and nothing in the program changes. But the program no
//     longer hears of new connections, so the siblings accept them.
//  3. It sends a signal to the processes that expect one: Node processes with our preload (see PreloadSignal), and with
//     ModeAccept the notifiers of adopted programs.
//  4. It waits until no connection of the instance has an unanswered request, at most for Options.Timeout. [judge] describes
//     the limits of this. Keep-alive connections that do not end by themselves end with the server's next answer; see
//     package httpclose. If an answer cannot carry the header (TLS, HTTP/2, WebSocket), the drain waits at most Options.Busy
//     for the connection. It does not wait for streams, whose request is older than Options.Stream.
//
// From outside it is not visible whether a program handles SIGTERM well: the runtimes of Node and Go always catch the signal
// (SigCgt of /proc/PID/status), and a handler may just exit. So all programs are drained in the same way, and get SIGTERM
// when no request is open.
//
// A failed drain does not fail the stop: Main prints the error on one line and returns 0, and systemd stops the instance.
//
// # The notifier's side of ModeAccept
//
// Step 2 has no effect on a program without epoll (a blocking accept, poll or select). If its filter includes accept and
// accept4, the notifier holds these calls during the drain. A signal tells it to do so:
//
//   - drain sends [NotifierSignal] (SIGUSR1) with pidfd_send_signal to each notifier in the cgroup of the instance: a
//     process whose executable has the same base name as the executable of drain, and whose argv[1] is [NotifierArg]
//     ("notify"). The suffix " (deleted)", which the kernel adds after an upgrade of the package, does not count.
//   - The notifier must block the signal before it lets the program run: the default action of SIGUSR1 would end the
//     notifier.
//   - After the signal the notifier does not answer accept and accept4 on a shared listener. If the listener is
//     non-blocking, the call fails with EAGAIN after a pause. This is final: SIGTERM follows in any case.
//   - The notifier does not confirm the signal. drain looks at the connections.
package drain
