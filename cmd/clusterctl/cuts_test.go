package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

// TestNoteCuts: what a drain of this command has left is said and added to the result; an older report is not.
func TestNoteCuts(t *testing.T) {
	w := newWorld(t)
	w.host.Runs = t.TempDir()
	if err := os.Mkdir(filepath.Join(w.host.Runs, "web"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := left.Report{Waited: 8 * time.Second, Count: 5}
	for range 5 {
		r.Connections = append(r.Connections, left.Connection{Peer: "127.0.0.1:4000", Request: 9 * time.Second})
	}
	if err := left.Save(filepath.Join(w.host.Runs, "web", "1"), r); err != nil {
		t.Fatal(err)
	}
	list := []instanceRoll{{Unit: "web@1.service", Instance: 1, Outcome: "reloaded"},
		{Unit: "web@2.service", Instance: 2, Outcome: "reloaded"}}
	w.noteCuts("web", time.Now().Add(-time.Minute), list)
	const want = "web@1: stopped with 5 connections in use after a drain of 8.0s: 127.0.0.1:4000 (sent its last request 9.0s before), "
	if !strings.HasPrefix(w.err.String(), want) || !strings.HasSuffix(w.err.String(), ", 2 more\n") {
		t.Errorf("%q", w.err.String())
	}
	if c := list[0].Cut; c == nil || c.Connections != 5 || len(c.Peers) != 5 || c.DrainMs != 8000 || list[1].Cut != nil {
		t.Errorf("%+v", list)
	}
	w.err.Reset()
	list[0].Cut = nil
	w.noteCuts("web", time.Now().Add(time.Minute), list)
	if list[0].Cut != nil || w.err.Len() > 0 {
		t.Errorf("an old report counts: %q", w.err.String())
	}
}
