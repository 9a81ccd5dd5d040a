package manage

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/internal/manage/managetest"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// lab is a Manager with a store in a directory and a systemd in memory.
type lab struct {
	*Manager
	systemd *managetest.Systemd
	dir     string
	notes   []string
}

type noProgress struct{}

func (noProgress) Observe(control.Progress) {}
func (noProgress) End()                     {}

func newLab(t testing.TB) *lab {
	t.Helper()
	return newLabAt(t.TempDir())
}

func newLabAt(dir string) *lab {
	l := &lab{dir: dir}
	store := &install.Store{
		Units: filepath.Join(dir, "units"), Config: filepath.Join(dir, "config"), Journal: dir,
		State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run"),
		RuntimeUnits: filepath.Join(dir, "runtime"), Command: "clusterctl test",
	}
	l.systemd = managetest.New(store.Units, store.RuntimeUnits)
	store.Now = l.systemd.Now
	l.Manager = &Manager{
		Store: store, Conn: l.systemd, Now: l.systemd.Now, Shim: units.DefaultShim, Root: true, Kills: new(Kills),
		Host:     inspect.Host{Cgroups: filepath.Join(dir, "cgroup"), Runs: filepath.Join(dir, "runs")},
		Note:     func(format string, args ...any) { l.notes = append(l.notes, fmt.Sprintf(format, args...)) },
		Progress: func(units.Name, int) Progress { return noProgress{} },
		Tail: func(context.Context, string, string, int, time.Time) ([]string, error) {
			return []string{"the last line"}, nil
		},
		Sockets:    func() (*inspect.Sockets, error) { return nil, nil },
		CheckPorts: func(context.Context, units.App) error { return nil },
	}
	return l
}

func (l *lab) install(a units.App, o InstallOptions) (Outcome, error) {
	ctx := context.Background()
	s, err := l.Open(ctx, a.Name)
	if err != nil {
		return FailedOutcome(a.Name, err), err
	}
	defer s.Close()
	f, err := l.Render(ctx, a)
	if err != nil {
		return FailedOutcome(a.Name, err), err
	}
	return s.Install(ctx, f, o)
}

// takeNotes returns the notes since its last call, joined to one text.
func (l *lab) takeNotes() string {
	text := strings.Join(l.notes, "\n")
	l.notes = nil
	return text
}
