package status

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/inspect"
	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/control"
	"github.com/clusterctl/clusterctl/units/install"
)

// fakeConn has the states of units by unit name. Units without a state do not exist.
type fakeConn struct {
	states map[string]control.State
	err    error
	asked  int
}

func (f *fakeConn) States(_ context.Context, names []string) ([]control.State, error) {
	f.asked++
	var list []control.State
	for _, n := range names {
		st, ok := f.states[n]
		if !ok {
			st = control.State{Load: control.NotFound, Active: control.Inactive}
		}
		st.Unit = n
		list = append(list, st)
	}
	return list, f.err
}

func (f *fakeConn) Watch(context.Context, []string) (*control.Watch, error) {
	return nil, errors.New("not here")
}

// TestCollector checks the state and the details of two apps, and that a second call of Details uses the last audit until
// auditAge has passed.
func TestCollector(t *testing.T) {
	edited := stateIn(control.ActiveRunning)
	edited.NeedDaemonReload = true
	edited.DropIns = []string{"/etc/systemd/system/web.service.d/50-instances.conf", "/etc/systemd/system/web.service.d/mine.conf"}
	slice := stateIn(control.ActiveRunning)
	slice.Limits = control.Limits{TasksMax: 400}
	conn := &fakeConn{states: map[string]control.State{
		"web.service": edited, "web@1.service": up(10, 50, 0), "web@2.service": restartingState(7), "clusterctl-web.slice": slice,
	}}
	dir := t.TempDir()
	now := time.Unix(1000, 0)
	c := &Collector{
		Conn: conn, Store: &install.Store{Units: dir, Config: dir}, Host: inspect.Host{Proc: dir, Runs: dir}, NoCPU: true,
		Now: func() time.Time { return now },
		Target: func(context.Context, units.App) (units.Target, error) {
			return units.Target{}, errors.New("no machine")
		},
	}
	var l List
	l.Add(units.App{Name: "web"}, 2, 0)
	l.Add(units.App{Name: "job"}, 3, 2)
	if err := c.Collect(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
	if web := l.Apps[0]; web.State != "degraded" || web.Ready != 1 || web.Wanted != 2 ||
		web.Problem != "web@2.service: exited with status 7" {
		t.Errorf("got %+v", web)
	}
	if job := l.Apps[1]; job.State != "stopped" || len(job.Instances) != 1 || job.Instances[0].Instance != 2 {
		t.Errorf("got %+v", job)
	}
	all, err := c.Details(t.Context(), &l)
	if err != nil {
		t.Fatal(err)
	}
	web := all[0]
	if !slices.Equal(web.DropIns, edited.DropIns[1:]) || !slices.Equal(web.NeedReload, []string{"web.service"}) ||
		web.DriftUnknown != "no machine" ||
		web.Limits.String() != "400 tasks" || !strings.HasSuffix(web.Config, "/web.yaml") {
		t.Errorf("got %+v", web)
	}
	asked := conn.asked
	now = now.Add(auditAge)
	if _, err := c.Details(t.Context(), &l); err != nil || conn.asked != asked {
		t.Errorf("before auditAge has passed: got error %v, asked systemd again: %v", err, conn.asked != asked)
	}
	now = now.Add(time.Second)
	if _, err := c.Details(t.Context(), &l); err != nil || conn.asked != asked+1 {
		t.Errorf("got error %v, asked systemd %d times more, want once", err, conn.asked-asked)
	}
	conn.err = control.ErrNoSystemd
	if err := c.Collect(t.Context(), &l); !errors.Is(err, control.ErrNoSystemd) {
		t.Errorf("got error %v", err)
	}
}
