// Package journald is a [slog.Handler] that writes to the journal: the attributes of a record become fields of its entry,
// which journalctl(1) finds and "clusterctl logs --fields" shows, and its level becomes the priority.
//
//	slog.SetDefault(slog.New(journald.NewHandler(nil)))
//
// Where stderr does not go to journald, as on a laptop, the handler writes text to stderr instead. systemd says so in
// JOURNAL_STREAM= (systemd.exec(5), since 231).
//
// # What becomes of a record
//
// The message is MESSAGE=, and nothing is added to it. An attribute "user" is USER=, in the group "request" it is
// REQUEST_USER=: names of the journal have capitals, digits and "_", do not begin with "_" or a digit, and are not longer
// than 64 characters. A name that would not be one, or that has a meaning to systemd or syslog(3), gets "X_" in front. With
// AddSource the place in the source is CODE_FILE=, CODE_LINE= and CODE_FUNC=.
//
// Levels below Info are debug (7), Info is info (6), from Info+2 on notice (5), Warn is warning (4), Error is err (3), from
// Error+4 on crit (2).
//
// A record is sent when Handle returns, as one datagram of the journal's native protocol, or, when it is too large for
// that, in a sealed memory file: there is no limit of 48 KiB a line, and newlines need no care. What cannot be sent is
// written to stderr as text.
//
// # What it imports
//
// The standard library and golang.org/x/sys, nothing else, as a test holds.
package journald
