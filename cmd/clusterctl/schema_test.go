package main

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/manage"
	"github.com/clusterctl/clusterctl/internal/outputschema"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units/control"
)

// TestRollSchema checks that the output of reload --json and scale --json matches the schema.
func TestRollSchema(t *testing.T) {
	w := newWorld(t)
	var rolled []control.Rolled
	for o := control.RollUntouched; o <= control.RollSkipped; o++ {
		rolled = append(rolled, control.Rolled{Instance: int(o) + 1, Unit: "web@1.service", Outcome: o, Reason: "it says so",
			Took: time.Second, State: control.State{MainPID: int(o) * 7}})
	}
	failed := &fault.NotReached{Err: errors.New("web@1.service: exited with status 1"), Log: []string{"one", "two"}}
	apps := []manage.AppResult{manage.NewAppResult("web", rolled, time.Minute, failed), manage.NewAppResult("mail", nil, 0, nil)}
	check := func(command string, v any) {
		t.Helper()
		w.out.Reset()
		if err := w.printJSON(v); err != nil {
			t.Fatal(err)
		}
		if err := outputschema.Check(command, w.out.Bytes()); err != nil {
			t.Errorf("%s: got error %v\nstdout %s", command, err, w.out.String())
		}
	}
	check("reload", map[string]any{"schema": 1, "apps": apps})
	check("scale", map[string]any{"schema": 1, "apps": []manage.ScaleResult{
		{Name: "web", OK: true, From: 2, To: 4, Count: "max", Changed: true, Running: true, TookMs: 3, Instances: apps[0].Instances},
		{Name: "mail", Error: "no", Log: []string{"x"},
			Instances: []manage.InstanceResult{{Unit: "mail@1.service", Instance: 1, Outcome: "stopped"}}},
	}})
	for _, broken := range []any{map[string]any{"schema": 1},
		map[string]any{"schema": 1, "apps": []map[string]any{{"name": "x", "ok": "yes"}}}} {
		w.out.Reset()
		if err := w.printJSON(broken); err != nil || outputschema.Check("reload", w.out.Bytes()) == nil {
			t.Errorf("the schema accepts %s", w.out.String())
		}
	}
}

// TestUpdateSchema checks that the output of apply, rollback and show --revisions with --json matches the schema.
func TestUpdateSchema(t *testing.T) {
	w := newWorld(t)
	instances := []manage.InstanceResult{{Unit: "web@1.service", Instance: 1, Outcome: "reloaded", TookMs: 12, PID: 7},
		{Unit: "web@2.service", Instance: 2, Outcome: "failed", Reason: "it says so"}}
	apps := []manage.Outcome{
		{Name: "web", Action: manage.Updated, Changed: []string{"/etc/systemd/system/web@.service"}, Instances: instances},
		{Name: "mail", Action: manage.Failed, Changed: []string{}, Instances: []manage.InstanceResult{}, Stopped: true, Error: "no"},
	}
	for command, v := range map[string]any{
		"apply": map[string]any{"schema": 1, "apps": apps}, "rollback": map[string]any{"schema": 1, "apps": apps[:1]},
		"revisions": map[string]any{"schema": 1, "name": "web",
			"revisions": []revisionInfo{{Number: 1, Until: w.now(), By: "clusterctl apply", Changed: []string{"env"}}}},
	} {
		w.out.Reset()
		if err := w.printJSON(v); err != nil {
			t.Fatal(err)
		}
		if err := outputschema.Check(command, w.out.Bytes()); err != nil {
			t.Errorf("%s: got error %v\nstdout %s", command, err, w.out.String())
		}
	}
}

// TestLogSchema checks that the lines in the golden files of package journal match the schema.
func TestLogSchema(t *testing.T) {
	for _, name := range []string{"json", "json-fields"} {
		lines, err := os.ReadFile("../../journal/testdata/" + name + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		if err := outputschema.Check("logs", lines); err != nil {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	w := newWorld(t)
	if err := w.printJSON(map[string]any{"schema": status.SchemaVersion,
		"journals": []journalUsage{{Apps: []string{"web"}, Bytes: 5},
			{Namespace: "clusterctl-mail", Apps: []string{"mail"}, MaxSize: 1, MaxAge: 86400}}}); err != nil {
		t.Fatal(err)
	}
	if err := outputschema.Check("logs", w.out.Bytes()); err != nil {
		t.Errorf("--disk-usage: got error %v", err)
	}
	if outputschema.Check("logs", []byte(`{"time":"2026-01-01T00:00:00Z","app":"web"}`)) == nil {
		t.Error("the schema accepts a line without its required fields")
	}
}
