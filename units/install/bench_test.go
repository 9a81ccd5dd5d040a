//go:build linux

package install

import "testing"

// BenchmarkPlan measures Plan without a changed file and with changed files.
func BenchmarkPlan(b *testing.B) {
	s := storeAt(newRoot(b))
	apply(b, s, app(2))
	for _, c := range []struct {
		name    string
		n       int
		changed bool
	}{{"unchanged", 2, false}, {"scaled", 3, true}} {
		b.Run(c.name, func(b *testing.B) {
			set, source := render(b, scaledApp(c.n))
			b.ReportAllocs()
			for b.Loop() {
				p, err := s.Plan("shop", set, source)
				if err != nil || p.Changed() != c.changed {
					b.Fatalf("changed: got %v, error %v, want %v", p.Changed(), err, c.changed)
				}
			}
		})
	}
}
