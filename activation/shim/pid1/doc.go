// Package pid1 cancels the start job of a restart, over the private socket of the service manager.
//
// A restart after short runs waits before it executes the program, and the program may never become ready. As long as the
// start job of such a restart exists, all units that are ordered after this unit wait, and the boot does not finish: PID 1
// finishes the boot only when no job is left (core/manager.c, manager_check_finished). After the job is canceled, the unit
// continues to start, with the same timeouts. A client may have requested a start of the same unit, and systemd then merges
// both jobs. Such a client must check the state of the unit instead of the job, as package control does.
//
// The package implements the small part of D-Bus that it needs, because a D-Bus library would make the shim larger. The
// private socket works without a message bus.
package pid1
