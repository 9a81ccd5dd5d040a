package config_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// describeApps returns a file with n apps.
func describeApps(n int) []byte {
	var b bytes.Buffer
	b.WriteString("apps:\n")
	for i := range n {
		fmt.Fprintf(&b, "  app%d:\n    command: [/usr/bin/node, /srv/app%[1]d/server.js]\n    instances: 4\n"+
			"    listen: [%d]\n    env: {NODE_ENV: production, PORT: \"%[2]d\"}\n", i, 3000+i)
	}
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data := describeApps(n)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if apps, err := config.Parse("clusterctl.yaml", data, func(*units.App) error { return nil }); err != nil || len(apps) != n {
					b.Fatalf("%d apps: %v", len(apps), err)
				}
			}
		})
	}
}
