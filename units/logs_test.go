package units_test

import (
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/units"
)

func TestSizes(t *testing.T) {
	for s, want := range map[string]uint64{
		"500M": 500 << 20, "1.5G": 1536 << 20, "2g": 2 << 30, "1048576": 1 << 20, "64K": 64 << 10, "10MB": 10 << 20,
		"10MiB": 10 << 20, "1T": 1 << 40,
	} {
		got, err := units.ParseSize(s)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) returned %d, %v, want %d", s, got, err, want)
		}
		if again, err := units.ParseSize(units.FormatSize(got)); err != nil || again != got {
			t.Errorf("%q is formatted as %q, which parses as %d, %v", s, units.FormatSize(got), again, err)
		}
	}
	for _, s := range []string{"", "M", "-1M", "1e3M", "0x10", "1 M", "ten", "NaN", "Inf", "99999999999T", "1MM"} {
		if n, err := units.ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) returned %d, want an error", s, n)
		}
	}
}

func TestAges(t *testing.T) {
	day := 24 * time.Hour
	for s, want := range map[string]time.Duration{"30d": 30 * day, "2w": 14 * day, "12h": 12 * time.Hour,
		"1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "61s": 61 * time.Second} {
		got, err := units.ParseAge(s)
		if err != nil || got != want {
			t.Errorf("ParseAge(%q) returned %v, %v, want %v", s, got, err, want)
		}
		if again, err := units.ParseAge(units.FormatAge(got)); err != nil || again != got {
			t.Errorf("%q is formatted as %q, which parses as %v, %v", s, units.FormatAge(got), again, err)
		}
	}
	for _, s := range []string{"", "30", "d", "0d", "1.5d", "-1d", "1y", "99999999999999d", "300000000w", "1d "} {
		if d, err := units.ParseAge(s); err == nil {
			t.Errorf("ParseAge(%q) returned %v, want an error", s, d)
		}
	}
}

// TestJournalNames: the set contains journald's file for the private journal. The file belongs to the app, and is not a
// unit.
func TestJournalNames(t *testing.T) {
	a := units.App{Name: "my-shop", Command: []string{"/bin/true"}, Logs: units.Logs{Namespace: true, MaxSize: 100 << 20}}
	set, err := units.Render(a, units.Target{Systemd: 252, Sizing: units.Sizing{Want: 1, Listed: 1}})
	if err != nil {
		t.Fatal(err)
	}
	data, ok := set.Get("journald@clusterctl-my-shop.conf")
	if !ok {
		t.Fatalf("the file for journald is missing: %v", set)
	}
	if got := units.Owner(units.File{Path: a.Name.JournalConf(), Data: data}); got != a.Name {
		t.Errorf("Owner returned %q, want %q", got, a.Name)
	}
	for _, u := range set.Units() {
		if u == a.Name.JournalConf() {
			t.Error("the file for journald is listed as a unit")
		}
	}
	if a.LogNamespace() != "clusterctl-my-shop" || (units.App{Name: "x"}).LogNamespace() != "" {
		t.Error("LogNamespace returns the wrong journal")
	}
}
