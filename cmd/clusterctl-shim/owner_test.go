package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestOwner: a process gets the socket of the unit if its user is root or the user of the main process, and if it is in the
// namespaces of the main process. For other processes bind(2) has the same result as without the shim, and the notifier
// prints one line.
func TestOwner(t *testing.T) {
	const noSocket = "the process does not get the socket of the unit"
	for _, c := range []struct {
		name  string
		steps []string
		want  []string
		line  string // part of the line that the notifier prints; "": it prints nothing
	}{
		{"a child of another user", []string{"bind", "child:65534", "child:65534", "child:-"},
			[]string{"bind shared", "child:65534 EADDRINUSE", "child:65534 EADDRINUSE", "child:- shared"},
			"of user 65534 binds 0.0.0.0:PORT, which belongs to user 0 of the main process; " + noSocket},
		{"a child of another user that binds before the main process", []string{"child:65534", "bind"},
			[]string{"child:65534 EADDRINUSE", "bind shared"}, noSocket},
		{"a main process that drops its privileges", []string{"bind", "drop", "bind", "child:-"},
			[]string{"bind shared", "bind shared", "child:- shared"}, ""},
		{"another mount namespace", []string{"bind", "mount"}, []string{"bind shared", "mount EADDRINUSE"}, "in another namespace"},
		{"another network namespace", []string{"bind", "net"}, []string{"bind shared", "net own"}, "in another namespace"},
		{"another user namespace", []string{"bind", "user"}, []string{"bind shared", "user EADDRINUSE"}, "in another namespace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, p := startOwners(t, c.steps...)
			_ = w.waitGone(t)
			var results, lines []string
			for line := range strings.Lines(w.output.String()) {
				line = strings.TrimSuffix(line, "\n")
				switch {
				case strings.HasPrefix(line, "clusterctl-shim: "):
					lines = append(lines, line)
				case line != "end":
					results = append(results, line)
				}
			}
			if !slices.Equal(results, c.want) {
				t.Errorf("the results of the binds are %q, want %q", results, c.want)
			}
			line := strings.ReplaceAll(c.line, "PORT", p)
			if c.line == "" && len(lines) > 0 ||
				c.line != "" && (len(lines) != 2 || !strings.Contains(lines[0], line) || !strings.Contains(lines[1], "hint: ")) {
				t.Errorf("the notifier printed %q, want a line with %q and a hint", lines, line)
			}
		})
	}
}

// TestWorkersOfAnotherUser: a master process of root can pass its socket to worker processes of another user.
func TestWorkersOfAnotherUser(t *testing.T) {
	w, p := startOwners(t, "bind", "serve")
	w.waitReady(t)
	if body := fetch(t, "tcp4", "127.0.0.1:"+p); body != "6553" {
		t.Errorf("got the response %q, want 6553 from the worker process", body)
	}
	w.stop(t)
}

// startOwners runs owners.py with the steps, and returns the process and the port of the listener.
func startOwners(t *testing.T, steps ...string) (w *worker, p string) {
	t.Helper()
	l, address := listen(t, "tcp4", "0.0.0.0:0", false)
	info, err := l.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p = port(address)
	inode := fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino)
	args := append([]string{"--adopt", "--", python(t), data(t, "owners.py"), p, inode}, steps...)
	return startWorker(t, []*os.File{l}, args...), p
}
