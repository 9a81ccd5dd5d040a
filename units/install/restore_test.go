//go:build linux

package install

import "testing"

// TestRestore: Restore restores the old files and keeps the intent until Rollback. If the process is killed in between, the
// next process can call Restore again.
func TestRestore(t *testing.T) {
	root := newRoot(t)
	s := storeAt(root)
	apply(t, s, app(2))
	p := planned(t, s, app(3))
	p.Was = WasRunning
	tx, err := s.Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	if pending, found, err := s.Pending("shop"); err != nil || !found || !pending.Untouched {
		t.Fatalf("after Begin: %+v, %v, %v", pending, found, err)
	}
	if err := tx.Write(); err != nil {
		t.Fatal(err)
	}
	if planned(t, s, app(3)).Changed() {
		t.Fatal("Write has not written the new files")
	}
	for range 2 {
		if err := tx.Restore(); err != nil {
			t.Fatal(err)
		}
		if planned(t, s, app(2)).Changed() {
			t.Fatal("Restore has not put back what was there")
		}
		pending, found, err := s.Pending("shop")
		if err != nil || !found || pending.Untouched || pending.Was != WasRunning {
			t.Fatalf("after Restore: %+v, %v, %v", pending, found, err)
		}
		if err := pending.Restore(); err != nil {
			t.Fatal(err)
		}
		if planned(t, s, app(2)).Changed() {
			t.Fatal("Restore has not put back what was there")
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	checkInstalled(t, s, app(2))
	if _, found, err := s.Pending("shop"); err != nil || found {
		t.Errorf("after Rollback: %v, %v", found, err)
	}
	if r, err := s.Revisions("shop"); err != nil || len(r) != 0 {
		t.Errorf("revisions: %v, %v", r, err)
	}
	// After the end of the transaction, Restore and Rollback do nothing.
	apply(t, s, app(3))
	for _, f := range []func() error{tx.Restore, tx.Rollback} {
		if err := f(); err != nil {
			t.Error(err)
		}
	}
	checkInstalled(t, s, app(3))
}
