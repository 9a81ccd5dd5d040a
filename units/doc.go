// Package units describes an app and renders it as systemd unit files.
//
// [Render] turns an [App] and a [Target] (the machine: its systemd version, the resolved number of instances) into a [Set]
// of files. Other packages write these files and load them into systemd.
//
// # Invariants
//
//   - Render is pure: it uses no files, clock, environment or D-Bus, and returns the same bytes for the same input.
//   - Text from a user is always escaped before it gets into a unit. Templates see only the unexported type value, and only
//     the functions in quote.go return values.
//   - All units that inherit the shared socket, including the aggregate (app.service), have the same NonBlocking=: "no" for
//     programs that wait in accept(2), and "yes" for other programs. When PID 1 starts a unit, it sets or clears O_NONBLOCK
//     on the open file description, which all these units share (systemd.service(5), NonBlocking=).
//   - All units that list the socket, or that the socket triggers, have StartLimitIntervalSec=0. Otherwise PID 1 would close
//     the listener for all instances if one instance hit its start limit (systemd's core/socket.c, socket_trigger_notify).
//   - Every file has a mark with the name of its app (see [Owner]). clusterctl does not change files without a mark.
//   - Every file ends with a checksum of its contents. [Edited] uses the checksum to distinguish a manual edit from a file
//     that an older version of clusterctl wrote.
//   - A key that the target's systemd does not support is omitted, because systemd logs a warning for an unknown key.
package units
