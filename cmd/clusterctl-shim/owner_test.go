package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestOwner: the notifier answers binds of the user of the main process and of root, in the namespaces of the main process.
// Every other bind has the same result as without the shim, and one line is logged.
func TestOwner(t *testing.T) {
	const foreign = "the process does not get the socket of the unit"
	for _, c := range []struct {
		name  string
		steps []string
		want  []string
		line  string // part of the message of the shim; "": it logs nothing
	}{
		{"a child of another user", []string{"bind", "child:65534", "child:65534", "child:-"},
			[]string{"bind shared", "child:65534 EADDRINUSE", "child:65534 EADDRINUSE", "child:- shared"},
			"of user 65534 binds 0.0.0.0:PORT, which belongs to user 0 of the main process; " + foreign},
		{"a child of another user, before the main process", []string{"child:65534", "bind"},
			[]string{"child:65534 EADDRINUSE", "bind shared"}, foreign},
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
			var said, shims []string
			for line := range strings.Lines(w.output.String()) {
				line = strings.TrimSuffix(line, "\n")
				switch {
				case strings.HasPrefix(line, "clusterctl-shim: "):
					shims = append(shims, line)
				case line != "end":
					said = append(said, line)
				}
			}
			if !slices.Equal(said, c.want) {
				t.Errorf("the results of the binds are %q, want %q", said, c.want)
			}
			line := strings.ReplaceAll(c.line, "PORT", p)
			if c.line == "" && len(shims) > 0 ||
				c.line != "" && (len(shims) != 2 || !strings.Contains(shims[0], line) || !strings.Contains(shims[1], "hint: ")) {
				t.Errorf("the shim logs %q, want one line with %q, and a hint", shims, line)
			}
		})
	}
}

// TestWorkersOfAnotherUser: a master that stays root can pass its socket to workers of another user.
func TestWorkersOfAnotherUser(t *testing.T) {
	w, p := startOwners(t, "bind", "serve")
	w.waitReady(t)
	if body := fetch(t, "tcp4", "127.0.0.1:"+p); body != "6553" {
		t.Errorf("the answer is %q, want the worker's", body)
	}
	w.stop(t)
}

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
