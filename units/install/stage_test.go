//go:build linux

package install

import (
	"path/filepath"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestStage: what is staged changes nothing, goes with a rollback, and lets Write succeed on a full disk.
func TestStage(t *testing.T) {
	for name, c := range map[string]struct{ old, new units.App }{
		"install":   {nothing(), app(4)},
		"update":    {app(2), app(4)},
		"uninstall": {app(4), nothing()},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			s := storeAt(root)
			if c.old.Command != nil {
				apply(t, s, c.old)
			}
			full := filepath.Join(root, "etc")
			mounted(t, full, 128)
			before := tree(t, root)
			for _, back := range []bool{true, false} {
				tx, err := s.Begin(planned(t, s, c.new))
				if err != nil {
					t.Fatal(err)
				}
				if err := tx.Stage(); err != nil {
					t.Fatal(err)
				}
				if p, found, err := s.Pending("shop"); err != nil || !found || !p.Untouched {
					t.Errorf("staged: %+v, %v, %v", p, found, err)
				}
				if back {
					if err := tx.Rollback(); err != nil {
						t.Fatal(err)
					}
					same(t, "after the rollback", tree(t, root), before)
					continue
				}
				release := stuff(t, full, 0)
				if err := tx.Write(); err != nil {
					t.Errorf("on a full disk: %v", err)
				}
				release()
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				intact(t, s, c.new)
			}
		})
	}
}
