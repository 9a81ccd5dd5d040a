package main

import (
	"bufio"

	"github.com/clusterctl/clusterctl/journal"
)

// logWriter writes log lines to stdout in the format of the flags.
type logWriter struct {
	e            *env
	w            *bufio.Writer
	format       journal.Formatter
	json, fields bool
	line         []byte
	// limited contains the apps for which Line has printed logRateAdvice.
	limited map[string]bool
}

// logRateAdvice names the flags of install that prevent journald from dropping lines.
const logRateAdvice = "--log-namespace gives the app a private journal, --log-rate sets another limit"

// Line writes one line. With --raw, it writes messages of journald to stderr. Before the first message that journald dropped
// lines of an app, it prints a hint.
func (w *logWriter) Line(l *journal.Line) error {
	if l.Source == journal.Journald && !w.limited[l.App] {
		w.limited[l.App] = true
		if err := w.w.Flush(); err != nil {
			return err
		}
		w.e.note("hint: %s has reached its limit of log lines; %s", l.App, logRateAdvice)
	}
	switch {
	case w.json:
		w.line = journal.AppendJSON(w.line[:0], l, w.fields)
	case w.format.Raw && l.Source == journal.Journald:
		if err := w.w.Flush(); err != nil {
			return err
		}
		w.e.note("%s: %s", l.Label(), journal.SuppressedText(l.Suppressed))
		return nil
	default:
		w.line = w.format.Append(w.line[:0], l)
	}
	_, err := w.w.Write(w.line)
	return err
}

// Idle flushes the output.
func (w *logWriter) Idle() error { return w.w.Flush() }
