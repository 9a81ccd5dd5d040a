package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
)

// watchOptions holds the values of the flags --json, --watch and --interval.
type watchOptions struct {
	asJSON, watch bool
	interval      time.Duration
}

const (
	defaultInterval = time.Second
	leastInterval   = 100 * time.Millisecond
)

func (o *watchOptions) flags() []cmdline.Flag {
	o.interval = defaultInterval
	return []cmdline.Flag{
		jsonFlag(&o.asJSON),
		{Name: "watch", Short: "w", To: &o.watch, Usage: "keep running, and print again when something changes"},
		{Name: "interval", To: &o.interval, Takes: "TIME", Usage: "how often --watch updates CPU, memory and connections"},
	}
}

func (o *watchOptions) check(command string) error {
	if o.interval < leastInterval {
		return fault.WithHint(fault.Usagef("%s: --interval must be at least %v", command, leastInterval), "--interval %v", leastInterval)
	}
	return nil
}

// errWatchEnded is the error of a watch that Ctrl-C ended. The function run does not print this error.
var errWatchEnded = fmt.Errorf("the watch has ended: %w", context.Canceled)

// A view is the output of one update. The field documents holds the output for --json, and the function draw prints the
// output without --json.
type view struct {
	documents []any
	draw      func(io.Writer) error
}

// A makeView function returns the view for the apps that the collector has read.
type makeView func(context.Context, *status.Collector, *status.List) (view, error)

// The method watch prints a view after each change of a unit and after each interval. It returns when the context ends, or
// when the reader closes stdout.
func (e *env) watch(ctx context.Context, args []string, o watchOptions, noCPU bool, picture makeView) error {
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := &screen{e: e}
	defer s.restore()
	c := e.collector(conn)
	c.NoCPU = noCPU
	err = c.Watch(ctx, status.Watched{
		List: func() (status.List, error) { return e.list(args) }, Interval: o.interval,
		Show: func(ctx context.Context, l *status.List) error {
			v, err := picture(ctx, c, l)
			if err != nil {
				return err
			}
			return s.print(v, o.asJSON)
		},
	})
	switch {
	case ctx.Err() != nil:
		return errWatchEnded
	case errors.Is(err, syscall.EPIPE):
		return nil
	}
	return err
}

// The method print shows a view on the screen, or prints the documents of the view for --json.
func (s *screen) print(v view, asJSON bool) error {
	if !asJSON {
		return s.draw(v.draw)
	}
	enc := json.NewEncoder(s.e.stdout)
	enc.SetEscapeHTML(false)
	for _, d := range v.documents {
		if err := enc.Encode(d); err != nil {
			return err
		}
	}
	return nil
}

// The type screen prints one text after another. On a terminal, each text replaces the text before it.
type screen struct {
	e     *env
	drawn bool
}

// The method draw prints a text with one write, so that the terminal does not flicker. It uses the alternate screen of the
// terminal, so that the terminal can show its old content again afterwards.
func (s *screen) draw(f func(io.Writer) error) error {
	var text bytes.Buffer
	if err := f(&text); err != nil {
		return err
	}
	var out bytes.Buffer
	switch {
	case !s.e.stdoutTTY:
		if s.drawn && text.Len() > 0 {
			out.WriteString("\n")
		}
		out.Write(text.Bytes())
		s.drawn = s.drawn || text.Len() > 0
	default:
		if !s.drawn {
			out.WriteString("\x1b[?1049h\x1b[?25l")
		}
		s.drawn = true
		out.WriteString("\x1b[H")
		_, rows := s.e.terminal()
		for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
			if rows > 0 && i >= rows-1 {
				break
			}
			out.WriteString(line + "\x1b[K\r\n")
		}
		out.WriteString("\x1b[J")
	}
	_, err := s.e.stdout.Write(out.Bytes())
	return err
}

// The method restore switches the terminal back from the alternate screen.
func (s *screen) restore() {
	if s.drawn && s.e.stdoutTTY {
		fmt.Fprint(s.e.stdout, "\x1b[?25h\x1b[?1049l")
	}
}
