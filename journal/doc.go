// Package journal reads the log lines of the workers. It starts journalctl(1), because only journalctl can read all
// formats of the journal in all versions of systemd. No other package of clusterctl starts a process.
//
// A [Query] selects lines and becomes arguments of journalctl. A [Decoder] reads the output of journalctl as entries, and
// [Read] passes each entry, as a [Line] of one app, to a [Sink]. A [Formatter] turns a line into bytes. Only Read, [Tail]
// and the functions on whole journals ([Usage], [Flush]) access the machine.
//
// # Guarantees
//
//   - Each line is passed once, in the order of the journal, even if journalctl ends and is started again while following:
//     the new process continues at the cursor of the last entry. A line that journald has cut because it is longer than
//     LineMax= (journald.conf(5)) is put together again.
//   - Memory does not grow with the number of entries.
//   - The app of a line follows from the fields that journald itself sets (their names begin with "_"), not from fields
//     that the sender sets. If the sender ended too early, journald knows only its user: then the line counts if it comes
//     from the app's user and names the app. Another process of the same user can send such a line.
package journal
