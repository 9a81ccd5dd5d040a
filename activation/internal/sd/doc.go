// Package sd implements the two protocols between systemd and a worker: passed
// descriptors, which begin at number 3 (sd_listen_fds(3)), and messages to NOTIFY_SOCKET
// (sd_notify(3)).
//
// The package is separate from package activation so that the shim, which runs next to
// each worker, can use it and stay small: it does not import net, net/http or crypto. A
// test of package activation checks this.
//
// After [Receive], LISTEN_* is unset and each passed descriptor is close-on-exec, even if
// Receive fails. No function changes O_NONBLOCK: the flag belongs to the open file
// description, which PID 1 and all workers share.
package sd
