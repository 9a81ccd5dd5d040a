//go:build linux

package install

import (
	"path/filepath"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestStage checks that Stage changes no file of the app, that Rollback removes the staged files, and that Write after Stage
// succeeds on a full disk.
func TestStage(t *testing.T) {
	for name, c := range map[string]struct{ old, new units.App }{
		"install":   {noApp(), app(4)},
		"update":    {app(2), app(4)},
		"uninstall": {app(4), noApp()},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			s := storeAt(root)
			if c.old.Command != nil {
				apply(t, s, c.old)
			}
			full := filepath.Join(root, "etc")
			mountTmpfs(t, full, 128)
			before := tree(t, root)
			for _, back := range []bool{true, false} {
				tx, err := s.Begin(makePlan(t, s, c.new))
				if err != nil {
					t.Fatal(err)
				}
				if err := tx.Stage(); err != nil {
					t.Fatal(err)
				}
				if p, found, err := s.Pending("shop"); err != nil || !found || !p.Untouched {
					t.Errorf("Pending after Stage: got %+v, %v, error %v, want an untouched intent", p, found, err)
				}
				if back {
					if err := tx.Rollback(); err != nil {
						t.Fatal(err)
					}
					wantEqual(t, "the files after the rollback", tree(t, root), before)
					continue
				}
				release := fillDisk(t, full, 0)
				if err := tx.Write(); err != nil {
					t.Errorf("Write on a full disk: %v", err)
				}
				release()
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				checkInstalled(t, s, c.new)
			}
		})
	}
}
