// Package journald is a [slog.Handler] that writes to the journal: the attributes of a record become fields of its entry,
// which journalctl(1) finds and "clusterctl logs --fields" shows, and its level becomes the priority.
//
//	slog.SetDefault(slog.New(journald.NewHandler(nil)))
//
// If stderr is not connected to the journal, for example on a laptop, the handler writes text to stderr instead. It uses
// JOURNAL_STREAM= of systemd to find out (systemd.exec(5), since 231).
//
// # Fields
//
// The message is MESSAGE=, unchanged. An attribute "user" is USER=; in the group "request" it is REQUEST_USER=. Field names
// of the journal consist of capitals, digits and "_", do not begin with "_" or a digit, and have at most 64 characters. A
// name that would begin with "_" or a digit, or that has a meaning to systemd or syslog(3), gets the prefix "X_". With
// AddSource, the source location is CODE_FILE=, CODE_LINE= and CODE_FUNC=.
//
// Levels below Info are debug (7), Info is info (6), Info+2 and higher are notice (5), Warn is warning (4), Error is err
// (3), Error+4 and higher are crit (2).
//
// Handle sends a record before it returns: as one datagram of the journal's native protocol or, if it is too large, in a
// sealed memory file. Lines can therefore be longer than 48 KiB, and messages may contain newlines. A record that cannot be
// sent is written to stderr as text.
//
// # Imports
//
// The package imports only the standard library and golang.org/x/sys. A test checks this.
package journald
