// Package sockopt copies the options that a program has set on its own socket to the shared listener that replaces this
// socket.
//
// Connections inherit the options of a TCP listener: the kernel copies the whole socket for each connection (sk_clone_lock,
// tcp_create_openreq_child). So a program that wants TCP_NODELAY on all its connections sets it once, before bind(2).
//
// An option counts as set if its value differs from the value on a new socket of the same kind. Only these options are
// copied; the listener keeps its other options, which come from the socket unit.
//
// Read and Apply use raw system calls and do not allocate, because the notifier of package adopt calls them after its fork.
package sockopt
