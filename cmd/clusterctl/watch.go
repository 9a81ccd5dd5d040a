package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units/control"
)

// watchOptions are the flags of the commands that can go on and on.
type watchOptions struct {
	asJSON, watch bool
	interval      time.Duration
}

const (
	defaultInterval = time.Second
	leastInterval   = 100 * time.Millisecond
	// settleTime is how long a change waits for those that come with it.
	settleTime = 50 * time.Millisecond
)

// flags of --json and --watch; jsonText says what is printed.
func (o *watchOptions) flags(jsonText string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "for programs: " + jsonText, Destination: &o.asJSON},
		&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on, and print again at each change and at each interval; with --json an object per line", Destination: &o.watch},
		&cli.DurationFlag{Name: "interval", Value: defaultInterval, Usage: "`TIME` after which --watch measures again", Destination: &o.interval},
	}
}

func (o *watchOptions) check(command string) error {
	if o.interval < leastInterval {
		return fault.WithHint(fault.Usagef("%s: an interval of %v is too short", command, o.interval), "--interval %v", leastInterval)
	}
	return nil
}

// errWatchEnded is how a watch ends: by Ctrl-C, which needs no words.
var errWatchEnded = fmt.Errorf("the watch has ended: %w", context.Canceled)

// view is one picture: as documents for --json, and as text.
type view struct {
	documents []any
	draw      func(io.Writer) error
}

// makeView turns what has been found out into a picture.
type makeView func(context.Context, *control.Conn, *appList) (view, error)

// watch draws a picture at each change of a unit, which systemd tells, and at each interval, for what no event tells: CPU,
// queues, connections, and apps that come and go. It ends with the context, or when nobody reads any more.
func (e *env) watch(ctx context.Context, args []string, o watchOptions, cpu bool, make makeView) error {
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := &screen{e: e}
	defer s.restore()
	w := &watcher{e: e, conn: conn, args: args, o: o, make: make, screen: s}
	if cpu {
		w.meter = e.newMeter()
	}
	for {
		err := w.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return errWatchEnded
		case errors.Is(err, syscall.EPIPE):
			return nil
		case err != nil:
			return err
		}
	}
}

type watcher struct {
	e      *env
	conn   *control.Conn
	args   []string
	o      watchOptions
	meter  *meter
	make   makeView
	screen *screen
}

// follow watches until other units are to be watched, or until an error.
func (w *watcher) follow(ctx context.Context) error {
	list, err := w.e.list(w.args)
	if err != nil {
		return err
	}
	names := list.units()
	watch, err := w.conn.Watch(ctx, names)
	if err != nil {
		return err
	}
	states := watch.States()
	changes, failed, stop := stream(ctx, watch)
	defer stop()
	tick := time.NewTicker(w.o.interval)
	defer tick.Stop()
	settle, settling := time.NewTimer(0), true // the first picture
	defer settle.Stop()
	for {
		select {
		case st := <-changes:
			if i := slices.Index(names, st.Unit); i >= 0 {
				states[i] = st
			}
			if !settling { // not again: changes may follow each other for ever
				settle.Reset(settleTime)
				settling = true
			}
			continue
		case err := <-failed:
			return err
		case <-settle.C:
			settling = false
		case <-tick.C:
			now, err := w.e.list(w.args)
			if err != nil {
				return err
			}
			if !slices.Equal(now.units(), names) {
				return nil
			}
			list = now
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.show(ctx, &list, states); err != nil {
			return err
		}
	}
}

// stream has a goroutine send what the watch tells, until it fails, or until stop, which ends both and waits for it.
func stream(ctx context.Context, watch *control.Watch) (<-chan control.State, <-chan error, func()) {
	ctx, cancel := context.WithCancel(ctx)
	changes, failed, done := make(chan control.State), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := watch.Next(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case changes <- c.State:
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes, failed, func() { cancel(); <-done; watch.Close() }
}

func (w *watcher) show(ctx context.Context, list *appList, states []control.State) error {
	if err := w.e.fill(ctx, w.meter, list, states); err != nil {
		return err
	}
	v, err := w.make(ctx, w.conn, list)
	if err != nil {
		return err
	}
	if !w.o.asJSON {
		return w.screen.draw(v.draw)
	}
	enc := json.NewEncoder(w.e.stdout)
	enc.SetEscapeHTML(false)
	for _, d := range v.documents {
		if err := enc.Encode(d); err != nil {
			return err
		}
	}
	return nil
}

// screen shows one text after the other: on a terminal in place, else one below the other.
type screen struct {
	e     *env
	drawn bool
}

// draw writes all of a picture at once, line over line, so that nothing flickers. It goes to the second screen that
// terminals have, so that the first one is as it was afterwards.
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

// restore gives the terminal back as it was.
func (s *screen) restore() {
	if s.drawn && s.e.stdoutTTY {
		fmt.Fprint(s.e.stdout, "\x1b[?25h\x1b[?1049l")
	}
}
