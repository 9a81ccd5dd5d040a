// Package sd speaks the two protocols between systemd and a worker: descriptors
// passed from number 3 on, sd_listen_fds(3), and messages to NOTIFY_SOCKET,
// sd_notify(3).
//
// It is apart from package activation for its weight: it imports neither net nor
// net/http nor crypto, so that the shim, which stands beside every worker, can
// use it and stay small. A test of package activation holds it to that.
//
// After [Receive], LISTEN_* is unset and every passed descriptor is close-on-exec,
// also when Receive fails. No function changes O_NONBLOCK: the flag belongs to the
// open file description, which PID 1 and all sibling workers share.
package sd
