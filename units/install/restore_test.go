//go:build linux

package install

import "testing"

// TestRestore checks that Restore restores the old files and keeps the intent until Rollback. If the process is killed
// before Rollback, the next process can call Restore again.
func TestRestore(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	apply(t, s, app(2))
	p := makePlan(t, s, app(3))
	p.Was = WasRunning
	tx, err := s.Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	if pending, found, err := s.Pending("shop"); err != nil || !found || !pending.Untouched {
		t.Fatalf("Pending after Begin: got %+v, %v, error %v, want an untouched intent", pending, found, err)
	}
	if err := tx.Write(); err != nil {
		t.Fatal(err)
	}
	if makePlan(t, s, app(3)).Changed() {
		t.Fatal("Write did not write the new files")
	}
	for range 2 {
		if err := tx.Restore(); err != nil {
			t.Fatal(err)
		}
		if makePlan(t, s, app(2)).Changed() {
			t.Fatal("Restore did not restore the old files")
		}
		pending, found, err := s.Pending("shop")
		if err != nil || !found || pending.Untouched || pending.Was != WasRunning {
			t.Fatalf("Pending after Restore: got %+v, %v, error %v, want an intent of a running app", pending, found, err)
		}
		if err := pending.Restore(); err != nil {
			t.Fatal(err)
		}
		if makePlan(t, s, app(2)).Changed() {
			t.Fatal("Restore did not restore the old files")
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	checkInstalled(t, s, app(2))
	if _, found, err := s.Pending("shop"); err != nil || found {
		t.Errorf("Pending after Rollback: got %v, error %v, want no intent", found, err)
	}
	if r, err := s.Revisions("shop"); err != nil || len(r) != 0 {
		t.Errorf("got the revisions %v, error %v, want none", r, err)
	}
	// After Rollback, further calls of Restore and Rollback do nothing.
	apply(t, s, app(3))
	for _, f := range []func() error{tx.Restore, tx.Rollback} {
		if err := f(); err != nil {
			t.Error(err)
		}
	}
	checkInstalled(t, s, app(3))
}
