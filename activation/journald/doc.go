// Package journald provides a [slog.Handler] that writes records to the journal. The level of a record becomes the priority
// of the entry, and the attributes become fields. journalctl(1) can search for these fields, and "clusterctl logs --fields"
// shows them.
//
//	slog.SetDefault(slog.New(journald.NewHandler(nil)))
//
// If stderr is not connected to the journal, for example on a laptop, the handler writes text to stderr instead. The
// handler compares stderr with $JOURNAL_STREAM (systemd.exec(5), since systemd 231).
//
// # Fields
//
// The field MESSAGE= contains the unchanged message. The attribute "user" becomes the field USER=, or REQUEST_USER= in the
// group "request". Field names of the journal consist of capitals, digits and "_", do not begin with "_" or a digit, and
// have at most 64 characters. A name that would begin with "_" or a digit, or that has a meaning to systemd or syslog(3),
// gets the prefix "X_". With AddSource, the fields CODE_FILE=, CODE_LINE= and CODE_FUNC= contain the source location.
//
// Levels below Info are debug (7), Info is info (6), Info+2 and higher are notice (5), Warn is warning (4), Error is err
// (3), Error+4 and higher are crit (2).
//
// Handle sends each record before it returns. It sends one datagram of the journal's native protocol, or a sealed memory
// file if the record is too large for a datagram. A message can be longer than 48 KiB, at which journald splits a line of
// stderr, and can contain newlines. A record that cannot be sent is written to stderr as text.
//
// # Imports
//
// The package imports only the standard library and golang.org/x/sys.
package journald
