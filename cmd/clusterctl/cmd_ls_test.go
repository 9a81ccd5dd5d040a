package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
)

// TestLs runs ls without systemd in three cases: no app is installed, an app is damaged, and the state of apps is unknown.
func TestLs(t *testing.T) {
	w := newWorld(t)
	if code := w.do("ls"); code != exitDone || w.out.Len() > 0 || !strings.Contains(w.err.String(), "no app is installed yet") {
		t.Errorf("got status %d, stdout %q, stderr %q", code, w.out.String(), w.err.String())
	}
	if code := w.do("-q", "ls"); code != exitDone || w.out.Len()+w.err.Len() > 0 {
		t.Errorf("got status %d, stdout %q, stderr %q", code, w.out.String(), w.err.String())
	}
	var list struct {
		Schema int
		Apps   []status.App
	}
	if code := w.do("ls", "--json"); code != exitDone || json.Unmarshal(w.out.Bytes(), &list) != nil || list.Schema != 1 ||
		list.Apps == nil {
		t.Errorf("got status %d, stdout %q", code, w.out.String())
	}

	w.file(t, "config/bad.yaml", "name: bad\nbogus: 1\n", 0o644)
	w.installApp(t, "gone", 2)
	if err := os.Remove(filepath.Join(w.store.Units, "gone.service.d/50-instances.conf")); err != nil {
		t.Fatal(err)
	}
	if code := w.do("ls"); code == exitDone ||
		!strings.Contains(w.out.String(), "bad   0/0    -           -      -    -    -         0       -  unknown  ") ||
		!strings.Contains(w.err.String(), "bad.yaml:2: bogus: ") || !strings.Contains(w.err.String(), "the instance list of gone") {
		t.Errorf("got status %d\nstdout %s, stderr %s", code, w.out.String(), w.err.String())
	}
	if code := w.do("ls", "--json"); code == exitDone || json.Unmarshal(w.out.Bytes(), &list) != nil ||
		len(list.Apps) != 2 || list.Apps[0].State != "unknown" || list.Apps[0].Problem == "" {
		t.Errorf("got status %d, stdout %q, stderr %q", code, w.out.String(), w.err.String())
	}
	w.installApp(t, "web", 2)
	if code := w.do("ls"); code != exitFailed && code != exitUsage ||
		!strings.Contains(w.err.String(), "systemd is not running here") || w.out.Len() > 0 {
		t.Errorf("got status %d, stdout %q, stderr %q", code, w.out.String(), w.err.String())
	}
}

// TestCat: cat prints the files with the drop-ins of the administrator.
func TestCat(t *testing.T) {
	w := newWorld(t)
	w.installApp(t, "web", 2, units.Listener{Port: 8080})
	w.file(t, "units/web@.service.d/local.conf", "[Service]\nNice=5", 0o644)
	w.file(t, "units/web@.service.d/ignored.txt", "no", 0o644)
	if code := w.do("cat", "web"); code != exitDone || w.err.Len() > 0 {
		t.Fatalf("got status %d, stderr %s", code, w.err.String())
	}
	out := w.out.String()
	at := 0
	for _, name := range []string{"config/web.yaml", "units/web.service", "units/web.service.d/50-instances.conf",
		"units/web@.service", "units/web@.service.d/local.conf", "units/clusterctl-web.slice", "units/web.socket"} {
		i := strings.Index(out[at:], "# "+filepath.Join(w.dir, name)+"\n")
		if i < 0 {
			t.Fatalf("%s is missing or in the wrong order, got\n%s", name, out)
		}
		at += i
	}
	if !strings.Contains(out, "Nice=5\n") || strings.Contains(out, "ignored.txt") {
		t.Errorf("got\n%s", out)
	}
}
