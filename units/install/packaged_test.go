package install

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestPackaged: an app of a Debian package can be loaded, but not changed. An app in Store.Config with the same name has
// precedence.
func TestPackaged(t *testing.T) {
	dir := t.TempDir()
	s := Store{
		Units: dir + "/units", Config: dir + "/config", State: dir + "/state", Run: dir + "/run", Packages: dir + "/packages",
		Releases: dir + "/opt/own", Former: dir + "/opt",
	}
	write := func(path, data string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if apps, err := s.Apps(); err != nil || len(apps) > 0 {
		t.Fatalf("%q, %v", apps, err)
	}
	write(dir+"/packages/shop/clusterctl.yaml", "unpacked, but not the current release")
	if apps, err := s.Apps(); err != nil || len(apps) > 0 {
		t.Errorf("Apps returns an app that is not configured yet: %q, %v", apps, err)
	}
	release := func(top, program string) {
		t.Helper()
		write(top+"/shop/releases/1/clusterctl.yaml", "name: shop\ncommand: ["+program+"]\n")
		write(top+"/shop/releases/1/units/shop.service.d/50-instances.conf", "")
		if err := os.Symlink("releases/1", top+"/shop/current"); err != nil {
			t.Fatal(err)
		}
	}
	release(dir+"/opt", "/zero")
	if a, err := s.Load("shop"); err != nil || a.Command[0] != "/zero" {
		t.Errorf("the app of a former package: %+v, %v", a, err)
	}
	release(dir+"/opt/own", "/one")
	write(dir+"/config/alpha.yaml", "name: alpha\ncommand: [/a]\n")
	if apps, err := s.Apps(); err != nil || !slices.Equal(apps, []units.Name{"alpha", "shop"}) {
		t.Errorf("%q, %v", apps, err)
	}
	a, err := s.Load("shop")
	if err != nil || a.Command[0] != "/one" || !s.Packaged("shop") || s.Packaged("alpha") {
		t.Errorf("%+v, %v", a, err)
	}
	if got := s.UnitPath("shop", "shop.service.d/50-instances.conf"); got != dir+
		"/opt/own/shop/current/units/shop.service.d/50-instances.conf" {
		t.Errorf("the path of the instance list is %s", got)
	}
	if got := s.UnitPath("alpha", "alpha.service"); got != dir+"/units/alpha.service" {
		t.Errorf("the path of a unit that is not packaged is %s", got)
	}
	var packaged *PackagedError
	if _, err := s.Plan("shop", nil, nil); !errors.As(err, &packaged) || packaged.Hint() == "" {
		t.Errorf("a plan for a packaged app: %v", err)
	}
	write(dir+"/config/shop.yaml", "name: shop\ncommand: [/ours]\n")
	if a, err := s.Load("shop"); err != nil || a.Command[0] != "/ours" {
		t.Errorf("%+v, %v", a, err)
	}
	if apps, err := s.Apps(); err != nil || len(apps) != 2 {
		t.Errorf("%q, %v", apps, err)
	}
}
