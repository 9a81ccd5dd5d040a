package install

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestPackaged checks that an app of a Debian package can be loaded, but not changed. A source with the same name in
// Store.Config has precedence.
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
		t.Fatalf("Apps: got %q, error %v, want none", apps, err)
	}
	write(dir+"/packages/shop/clusterctl.yaml", "name: shop\n")
	if apps, err := s.Apps(); err != nil || len(apps) > 0 {
		t.Errorf("Apps before the package is configured: got %q, error %v, want none", apps, err)
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
		t.Errorf("Load: got %+v, error %v, want the program /zero of a package of an earlier clusterctl", a, err)
	}
	release(dir+"/opt/own", "/one")
	write(dir+"/config/alpha.yaml", "name: alpha\ncommand: [/a]\n")
	if apps, err := s.Apps(); err != nil || !slices.Equal(apps, []units.Name{"alpha", "shop"}) {
		t.Errorf("Apps: got %q, error %v, want alpha and shop", apps, err)
	}
	a, err := s.Load("shop")
	if err != nil || a.Command[0] != "/one" || !s.Packaged("shop") || s.Packaged("alpha") {
		t.Errorf("Load: got %+v, error %v, want the program /one of a package", a, err)
	}
	if got := s.UnitPath("shop", "shop.service.d/50-instances.conf"); got != dir+
		"/opt/own/shop/current/units/shop.service.d/50-instances.conf" {
		t.Errorf("the path of the instance list: got %s, want it in the current release", got)
	}
	if got := s.UnitPath("alpha", "alpha.service"); got != dir+"/units/alpha.service" {
		t.Errorf("the path of a unit that is not packaged: got %s, want it in %s", got, s.Units)
	}
	var packaged *PackagedError
	if _, err := s.Plan("shop", nil, nil); !errors.As(err, &packaged) || packaged.Hint() == "" {
		t.Errorf("Plan for a packaged app: got %v, want a PackagedError with a hint", err)
	}
	write(dir+"/config/shop.yaml", "name: shop\ncommand: [/ours]\n")
	if a, err := s.Load("shop"); err != nil || a.Command[0] != "/ours" {
		t.Errorf("Load: got %+v, error %v, want the program /ours", a, err)
	}
	if apps, err := s.Apps(); err != nil || len(apps) != 2 {
		t.Errorf("Apps: got %q, error %v, want two apps", apps, err)
	}
}
