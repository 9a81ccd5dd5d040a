// Package units describes an app and renders it as systemd unit files.
//
// [Render] turns an [App] and a [Target] (the machine: its systemd version, the resolved number of instances) into a [Set]
// of files. The other packages compare, write, load and inspect these files.
//
// # Invariants
//
//   - Render is pure: it uses no files, clock, environment or D-Bus, and returns the same bytes for the same input.
//   - Text from a user is always escaped before it gets into a unit. Templates see only the unexported type value, and only
//     the functions in quote.go return one.
//   - All units that inherit the shared socket, including the aggregate, have the same NonBlocking=. It is "no" for programs
//     that wait in accept(2), and "yes" otherwise. At each start, PID 1 sets or clears O_NONBLOCK on the shared open file
//     description (systemd.service(5), NonBlocking=).
//   - All units that list the socket, or that the socket triggers, have StartLimitIntervalSec=0. Otherwise PID 1 would close
//     the listener for all instances if one instance hit its start limit (systemd's core/socket.c, socket_trigger_notify).
//   - Every file names its app (SourcePath=, X-Clusterctl-App=). A file without this mark does not belong to clusterctl.
//   - Every file ends with a checksum of its contents. [Edited] uses it to distinguish a manual edit from an older template.
//   - A key that the target's systemd does not support is omitted, so systemd does not log a warning about it.
package units
