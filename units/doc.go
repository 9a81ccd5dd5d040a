// Package units says what an app is and which systemd unit files it becomes.
//
// [Render] turns an [App] and a [Target] (the machine: its systemd version, the resolved number of instances) into a
// [Set] of files. Everything else in clusterctl compares, writes, reloads and looks.
//
// # Invariants
//
//   - Render is pure: no files, no clock, no environment, no D-Bus; the same input gives the same bytes.
//   - Nothing that a user wrote reaches a unit unescaped. Templates see only the unexported type value, and the only
//     functions that make one are in quote.go.
//   - All units that inherit the shared socket, the aggregate included, carry the same NonBlocking=, "yes" but for programs
//     that wait in accept(2): PID 1 sets or clears O_NONBLOCK on the shared open file description at each start
//     (systemd.service(5), NonBlocking=).
//   - All units that list the socket, or are triggered by it, carry StartLimitIntervalSec=0: otherwise one instance that
//     hits its limit makes PID 1 close the listener for all of them (systemd's core/socket.c, socket_trigger_notify).
//   - Every file carries the mark that says whose it is (SourcePath=, X-Clusterctl-App=). A file without it is not ours.
//   - Every file ends with a checksum of itself, by which [Edited] tells an edit by hand from an older template.
//   - A key that the target's systemd does not know is left out, never emitted to be warned about.
package units
