package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The constant quiet is the time without new lines after which missing lines count as lost.
const quiet = 5 * time.Second

// storedLines contains the number of lines of a burst that were stored, and the time until the last of these lines was
// stored.
type storedLines struct {
	Seconds float64 `json:"seconds"`
	Lines   int     `json:"lines"`
}

// logWriteCommand makes a program write lines, and waits until they are stored in the journal (-app) or in files (-files
// GLOB): logwrite -port 8080 -id x -n 100000 -app chatty.
func logWriteCommand(args []string) (any, error) {
	f := flags("logwrite")
	port := f.Int("port", 0, "")
	id := f.String("id", "x", "")
	n := f.Int("n", 1000, "")
	app := f.String("app", "", "")
	files := f.String("files", "", "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := write(*port, *id, *n); err != nil {
		return nil, err
	}
	if *app == "" {
		lines, at, err := inFiles(*files, *id, *n)
		return storedLines{at.Sub(begin).Seconds(), lines}, err
	}
	// journalctl --sync returns when journald has stored all lines that were sent before.
	if out, err := exec.Command("journalctl", "--sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("journalctl --sync: %w: %s", err, out)
	}
	took := time.Since(begin).Seconds()
	since := fmt.Sprintf("--since=@%d", begin.Unix()-1)
	out, err := exec.Command("journalctl", "-q", "-o", "cat", since, "CLUSTERCTL_APP="+*app).Output()
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	return storedLines{took, countLines(out, *id)}, nil
}

func write(port int, id string, n int) error {
	a, err := getOnce(port, fmt.Sprintf("/log?id=%s&n=%d", id, n), time.Now().Add(2*time.Minute))
	if err == nil && a.Status != 200 {
		err = fmt.Errorf("status %d", a.Status)
	}
	if err != nil {
		return fmt.Errorf("requesting %d lines: %w", n, err)
	}
	return nil
}

// countLines returns the number of lines with an id, at any position in the line.
func countLines(b []byte, id string) int {
	n, mark := 0, []byte(id+" ")
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, mark) {
			n++
		}
	}
	return n
}

// inFiles reads growing files until they contain n lines with an id, or have not grown for some time. inFiles returns the
// number of lines and the time of the last growth.
func inFiles(glob, id string, n int) (lines int, at time.Time, err error) {
	at = time.Now()
	offsets := map[string]int64{}
	for time.Since(at) < quiet {
		paths, err := filepath.Glob(glob)
		if err != nil {
			return 0, at, err
		}
		for _, p := range paths {
			b, read, err := linesAfter(p, offsets[p])
			if err != nil {
				return 0, at, err
			}
			if read > 0 {
				offsets[p] += read
				lines += countLines(b, id)
				at = time.Now()
			}
		}
		if lines >= n {
			return lines, at, nil
		}
		time.Sleep(2 * time.Millisecond) // poll, because inotify would slow down the writer
	}
	return lines, at, nil
}

// linesAfter returns the complete lines of a file after an offset.
func linesAfter(path string, offset int64) ([]byte, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, offset, 1<<40))
	if err != nil {
		return nil, 0, err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	return b, int64(len(b)), nil
}

// followResults contains the results of a follower, which is a command that shows new lines: for single lines, and for a
// burst.
type followResults struct {
	MS     []float64 `json:"ms"`     // times from the request for a line until the line is shown
	Missed int       `json:"missed"` // number of single lines that were not shown
	Seen   int       `json:"seen"`   // number of shown lines of the burst
}

// logFollowCommand starts a follower and measures the time until it shows a line: logfollow -port 8080 -n 50 -burst 20000
// -- journalctl -f …
func logFollowCommand(args []string) (any, error) {
	f := flags("logfollow")
	port := f.Int("port", 0, "")
	n := f.Int("n", 50, "")
	burst := f.Int("burst", 0, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() == 0 {
		return nil, errors.New("missing command after --")
	}
	cmd := exec.Command(f.Arg(0), f.Args()[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := make(chan string, 1<<16)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	got, err := follow(*port, *n, *burst, lines)
	// The follower does not end by itself. Send SIGTERM first, so that the follower can end its children.
	_ = cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
	for range lines {
	}
	_ = cmd.Wait() // ignore the error, because a signal has ended the command
	kill.Stop()
	return got, err
}

func follow(port, n, burst int, lines <-chan string) (followResults, error) {
	var got followResults
	if err := warmUp(port, lines); err != nil {
		return got, err
	}
	for i := range n {
		// Vary the pauses, because some followers poll at fixed intervals. With equal pauses, each request could come just
		// after a poll, and only the longest wait would be measured.
		time.Sleep(time.Duration(i*173%500) * time.Millisecond)
		id := fmt.Sprintf("bench-single-%d-", i)
		begin := time.Now()
		asked := make(chan error, 1)
		go func() { asked <- write(port, id, 1) }()
		if awaitLines(lines, id, 1, quiet) == 1 {
			got.MS = append(got.MS, ms(time.Since(begin)))
		} else {
			got.Missed++
		}
		if err := <-asked; err != nil {
			return got, err
		}
	}
	if burst > 0 {
		asked := make(chan error, 1)
		go func() { asked <- write(port, "bench-burst", burst) }()
		got.Seen = awaitLines(lines, "bench-burst ", burst, quiet)
		if err := <-asked; err != nil {
			return got, err
		}
	}
	return got, nil
}

// warmUp writes lines until the follower shows a line. A follower does not show lines that were written before it was
// ready.
func warmUp(port int, lines <-chan string) error {
	for i := range 100 {
		id := fmt.Sprintf("bench-warm-%d-", i)
		if err := write(port, id, 1); err != nil {
			return err
		}
		if awaitLines(lines, "bench-warm-", 1, 200*time.Millisecond) > 0 {
			awaitLines(lines, "nothing that is there", 1, 300*time.Millisecond) // discard lines that arrive late
			return nil
		}
	}
	return errors.New("the follower did not show any line")
}

// awaitLines waits for n lines that contain the text, or until no line has arrived for the duration patience. awaitLines
// returns the number of lines that contain the text.
func awaitLines(lines <-chan string, text string, n int, patience time.Duration) int {
	seen := 0
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for seen < n {
		select {
		case line, ok := <-lines:
			if !ok {
				return seen
			}
			if strings.Contains(line, text) {
				seen++
			}
			timer.Reset(patience)
		case <-timer.C:
			return seen
		}
	}
	return seen
}
