// Package activation makes a Go program a worker of systemd: it takes the
// listeners that systemd passes, tells systemd how it is doing, and serves HTTP so
// that no request is lost when it is told to stop. The same program runs without
// systemd, on a laptop, with an ordinary listener. The example is a whole worker.
//
// # What always holds
//
// After the first call of [Listeners], [PacketConns], [Files] or a Listen function,
// LISTEN_* is unset and all passed descriptors are close-on-exec. Call one early in
// main, before anything starts a child. All of them may be called often and from
// several goroutines: the descriptors are taken over once, and each call gives the
// same listeners.
//
// O_NONBLOCK is never cleared. It belongs to the open file description, which PID 1
// and all sibling workers share, so clearing it here would make their accept(2) block.
// Setting it is harmless, and done. Do not call Fd on the result of a listener's own
// File method: that clears it for everybody. Take the descriptor from [Files].
//
// shutdown(2) is never called on a listener, since that would stop it for everybody.
//
// [Serve] answers every request on every connection that it accepted, unless it is
// stopped before they are done (DrainTimeout, a second signal), and then it says how
// many it cut. A connection that it has not accepted stays in the queue of the shared
// socket, for the siblings.
//
// No function logs, exits or panics. A message to systemd where no systemd is does
// nothing and is no error.
//
// # Who may close what
//
// Passed listeners and packet connections belong to the caller, who may close them.
// Closing ends accepting in this process alone: the socket itself is held by systemd.
// As every call gives the same ones, it closes them for all callers. Files are
// duplicates, one set for each call, and closing them closes nothing else. Serve
// closes the listeners it was given, always.
//
// # What it wants of the units
//
// As clusterctl writes them, or by hand (systemd.service(5), systemd.socket(5)):
//
//	[Socket]                    [Service]
//	ListenStream=8080           Type=notify
//	FileDescriptorName=http     Sockets=hello.socket
//	Service=hello.service       NonBlocking=yes
//	                            TimeoutStopSec=35
//
// FileDescriptorName= gives the names (clusterctl: "http" for streams and "udp" for
// datagrams, unless told otherwise). Positions mean nothing, as systemd promises no
// order between socket units. NonBlocking=yes has to stand in every unit that inherits
// the socket: without it systemd clears O_NONBLOCK for all workers at each start of
// one, an accept then blocks in the kernel, and a draining worker cannot be woken from
// it. TimeoutStopSec= should be longer than DrainTimeout; Serve asks for the time it
// needs anyway (EXTEND_TIMEOUT_USEC=, since systemd 236). With WatchdogSec= Serve sends
// WATCHDOG=1 as often as is needed.
//
// # What it imports
//
// The standard library and golang.org/x/sys, nothing else, as a test holds. net/http
// and what that brings is there for the sake of Serve.
package activation
