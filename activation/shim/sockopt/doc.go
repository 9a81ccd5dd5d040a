// Package sockopt carries the options that a program has set on its own socket over to the shared listener that takes the
// place of that socket.
//
// A listening TCP socket hands its options down: the kernel copies the whole socket for each connection (sk_clone_lock,
// tcp_create_openreq_child). So a program that wants TCP_NODELAY on all its connections sets it once, before bind(2).
//
// An option counts as set when its value differs from its value on a new socket of the same kind. Only options that are set are
// carried over; the listener keeps its other options, which come from the socket unit.
//
// The functions use raw system calls and allocate nothing, because the notifier of package adopt calls them behind its fork.
package sockopt
