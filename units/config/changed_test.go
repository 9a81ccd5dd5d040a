package config_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/clusterctl/clusterctl/units"
	"github.com/clusterctl/clusterctl/units/config"
)

// TestChanged: the function Changed returns the changed keys in the order of the file.
func TestChanged(t *testing.T) {
	before := units.App{Name: "shop", Command: []string{"/bin/true"}, Env: []units.EnvVar{{Name: "A", Value: "1"}}}
	after := before
	after.Timeouts = units.Timeouts{Start: time.Second, Stop: time.Minute}
	after.Shim = units.ShimOptions{Pin: true, MaxRestarts: 3}
	after.Logs.MaxAge = time.Hour
	after.Reads = []string{"/srv"}
	after.Env = []units.EnvVar{{Name: "A", Value: "2"}}
	after.EnvFiles = []units.EnvFile{{Path: "/a", ByWorker: true}}
	after.Socket.Mode = 0o600
	want := []string{
		"socket-mode", "env", "worker-env-files", "read", "start-timeout", "stop-timeout", "pin", "max-restarts", "log-max-age",
	}
	if got := config.Changed(before, after); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestChangedIsComplete: if any field of an app changes, the function Changed returns a key.
func TestChangedIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, other := anyApp().Draw(t, "a"), anyApp().Draw(t, "other")
		b := a
		i := rapid.IntRange(0, reflect.TypeFor[units.App]().NumField()-1).Draw(t, "field")
		reflect.ValueOf(&b).Elem().Field(i).Set(reflect.ValueOf(other).Field(i))
		if a.Validate() != nil || b.Validate() != nil {
			return
		}
		if same := cmp.Equal(a, b, cmpopts.EquateEmpty(), addrs); same != (len(config.Changed(a, b)) == 0) {
			t.Fatalf("%s: the apps are equal: %v, changed keys: %v", reflect.TypeFor[units.App]().Field(i).Name, same, config.Changed(a, b))
		}
	})
}
