// Package drain empties one worker before it is stopped, from outside and
// without its help. It is what ExecStop= of every instance with a shared socket
// runs, as root and before systemd sends SIGTERM:
//
//	ExecStop=-+:/usr/lib/clusterctl/clusterctl-shim drain [flags]
//
// # What it does
//
//  1. It finds the processes of the instance (its own cgroup) and the listeners
//     they share with the service manager, by socket inode: a listener that the
//     manager holds too is the one of the .socket unit. A listener that the
//     program opened for itself, a metrics port say, is left alone: it answers
//     health checks to the end.
//  2. It takes each shared listener out of every epoll instance of these
//     processes (EPOLL_CTL_DEL on the same open file descriptions, got by
//     pidfd_getfd). Nothing is closed and nothing in the program changes; it just
//     is no longer told of new connections, and the siblings take them.
//  3. It sends a signal to the processes that expect one: Node processes with our preload
//     (see PreloadSignal), and with ModeAccept the notifiers of adopted programs.
//  4. It waits until no connection of the instance has an unanswered request,
//     at most Options.Timeout. What this can and cannot see stands at [judge].
//     Keep-alive connections that do not end by themselves are ended with the
//     server's next answer, see package httpclose; where an answer cannot carry that
//     (TLS, HTTP/2, WebSocket), connections are left to the program's own stop after
//     Options.Busy, and so are streams, whose request is older than Options.Stream.
//
// Whether a program handles SIGTERM well cannot be told from outside: Node and Go
// always catch it themselves (SigCgt of /proc/PID/status), and who catches it may
// only exit faster. So all are drained alike, and get SIGTERM with nothing left
// to lose.
//
// It never fails a stop: whatever goes wrong, Main says so in one line and returns
// 0, and the ordinary stop follows.
//
// # The notifier's side of ModeAccept
//
// A program without epoll (a blocking accept, poll or select) cannot be drained
// from outside by step 2. When its filter includes accept and accept4, the
// notifier can: while draining it does not let accept go on. The channel is one
// signal, no file and no socket:
//
//   - drain sends [NotifierSignal] (SIGUSR1) with pidfd_send_signal to each
//     process in the instance's cgroup whose executable's base name is that of
//     drain's own (a " (deleted)" behind it is ignored: the package may have been
//     upgraded since) and whose argv[1] is [NotifierArg] ("notify").
//   - The notifier must have its handler in place before it lets the program run:
//     the default action of SIGUSR1 is to end it.
//   - From that signal on it leaves every accept and accept4 that names a shared
//     listener unanswered (or answers EAGAIN after a while, where the program
//     asked for SOCK_NONBLOCK behaviour), those included which it has read and
//     not answered yet. There is no way back: SIGTERM follows in any case.
//   - There is no answer. drain sees by the connections that it worked.
package drain
