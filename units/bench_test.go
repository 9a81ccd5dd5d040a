package units_test

import (
	"fmt"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// BenchmarkRender renders an app with two listeners, with 1, 32 and 500 instances.
func BenchmarkRender(b *testing.B) {
	for _, n := range []int{1, 32, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := units.App{Name: "web", Command: []string{"/usr/bin/node", "/srv/web/server.js"}, Directory: "/srv/web",
				Env: []units.EnvVar{{Name: "PORT", Value: "8080"}, {Name: "NODE_ENV", Value: "production"}}}
			a.Instances.N = n
			for _, s := range []string{"8080", "admin=9000"} {
				l, err := units.ParseListener(s)
				if err != nil {
					b.Fatal(err)
				}
				a.Listen = append(a.Listen, l)
			}
			target := units.Target{Systemd: units.OldestSystemd, Sizing: a.Instances.Resolve(units.CPUs{Affinity: 2}),
				Source: "/etc/clusterctl/web.yaml", Shim: units.DefaultShim}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := units.Render(a, target); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
