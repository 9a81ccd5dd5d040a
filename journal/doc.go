// Package journal reads the log lines of the workers. It runs journalctl(1), because only journalctl can read all formats
// of the journal in all versions of systemd.
//
// A [Query] selects lines, and is converted to arguments of journalctl. A [Decoder] reads the output of journalctl as
// entries, and [Read] passes each entry, as a [Line] of one app, to a [Sink]. A [Formatter] turns a line into bytes. Only
// Read, [Tail], [Suppressed] and the functions for whole journals ([Usage], [Flush]) access the machine.
//
// # Guarantees
//
//   - Each line is passed to the sink once, in the order of the journal. If journalctl ends while it follows the journal,
//     the next journalctl continues after the last entry. If journald has split a line that is longer than LineMax=
//     (journald.conf(5)), the parts are joined.
//   - The use of memory does not grow with the number of entries.
//   - The app of a line is found by fields that journald sets (their names begin with "_"), not by fields that the sender
//     sets. If the sender has ended before journald has read the unit of the sender, the line belongs to the app that the
//     line names, but only if the line comes from the user of this app. So another process of this user can write lines that
//     seem to come from the app.
package journal
