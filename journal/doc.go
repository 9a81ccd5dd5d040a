// Package journal reads what the workers said. It starts journalctl(1), the only reader that knows every format of the
// journal on every version, and it is the only package of clusterctl that starts a process.
//
// A [Query] says what is wanted; it becomes arguments of journalctl. What that writes is read by a [Decoder] as entries,
// and [Read] gives each entry, as a [Line] of one app, to a [Sink]. A [Formatter] turns a line into bytes. Only Read,
// [Tail] and the functions on whole journals ([Usage], [Flush]) touch the machine; all else is pure.
//
// # What always holds
//
//   - A line is given once, in the order of the journal, also when journalctl ends and is started again while following:
//     it goes on from the cursor of the last entry. A line that journald had to cut, because it is longer than LineMax=
//     (journald.conf(5)), is put together again.
//   - Memory does not grow with the number of entries.
//   - A line counts as one of an app because of what journald itself found out about its sender (the fields that begin
//     with "_"), not because of what the sender claims. Of a sender that ended too early for that, journald knows the
//     user: its line counts if it comes from the app's user and names the app. Another process of that user can send one.
package journal
