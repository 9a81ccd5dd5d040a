package manage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

// TestNoteCuts checks that noteCuts reports the connections that were cut during this command, and omits older ones.
func TestNoteCuts(t *testing.T) {
	l := newLab(t)
	if err := os.MkdirAll(filepath.Join(l.Host.Runs, "web"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := left.Report{Waited: 8 * time.Second, Count: 5}
	for range 5 {
		r.Connections = append(r.Connections, left.Connection{Peer: "127.0.0.1:4000", Request: 9 * time.Second})
	}
	if err := left.Save(filepath.Join(l.Host.Runs, "web", "1"), r); err != nil {
		t.Fatal(err)
	}
	list := []InstanceResult{
		{Unit: "web@1.service", Instance: 1, Outcome: "reloaded"}, {Unit: "web@2.service", Instance: 2, Outcome: "reloaded"},
	}
	l.noteCuts("web", time.Now().Add(-time.Minute), list)
	const want = "web@1: stopped with 5 connections in use after a drain of 8.0s: 127.0.0.1:4000 (sent its last request 9.0s before), "
	if got := l.takeNotes(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ", 2 more") {
		t.Errorf("got the note %q, want a note with 3 peers and \"2 more\"", got)
	}
	if c := list[0].Cut; c == nil || c.Connections != 5 || len(c.Peers) != 5 || c.DrainMs != 8000 || list[1].Cut != nil {
		t.Errorf("got the results %+v, want 5 cut connections of instance 1", list)
	}
	list[0].Cut = nil
	l.noteCuts("web", time.Now().Add(time.Minute), list)
	if got := l.takeNotes(); list[0].Cut != nil || got != "" {
		t.Errorf("an old report: got %+v in the result, notes %q, want neither", list[0].Cut, got)
	}
}
