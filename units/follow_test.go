package units_test

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestWithConditions: WithConditions adds or removes the conditions for the number of CPUs, and changes nothing else.
func TestWithConditions(t *testing.T) {
	render := func(follow bool, env ...units.EnvVar) []byte {
		a := units.App{Name: "shop", Command: []string{"/srv/shop"}, Listen: nil, Env: env}
		set, err := units.Render(a, units.Target{Systemd: 252, Sizing: units.Sizing{Want: 2, Listed: 2, Follow: follow},
			Source: "/etc/clusterctl/shop.yaml", Values: "/etc/clusterctl/shop.env", Shim: "/usr/lib/clusterctl/clusterctl-shim"})
		if err != nil {
			t.Fatal(err)
		}
		data, _ := set.Get(a.Name.Template())
		return data
	}
	fixed, follows := render(false), render(true)
	other, otherFollows := render(false, units.EnvVar{Name: "A", Value: "1"}), render(true, units.EnvVar{Name: "A", Value: "1"})
	edited := []byte(strings.Replace(string(fixed), "[Service]\n", "[Service]\nNice=5\n", 1))
	for _, c := range []struct{ template, from, want []byte }{
		{fixed, other, fixed}, {follows, otherFollows, follows}, {fixed, otherFollows, follows}, {follows, other, fixed},
		{edited, other, edited},
	} {
		if got := units.WithConditions(c.template, c.from); string(got) != string(c.want) {
			t.Errorf("got the template\n%s\nwant\n%s", got, c.want)
		}
	}
	got := units.WithConditions(edited, otherFollows)
	if !units.Edited(got) || !strings.Contains(string(got), "ConditionCPUs=") || !strings.Contains(string(got), "Nice=5\n") {
		t.Errorf("got\n%s\nwant the edited template with ConditionCPUs= and a wrong checksum", got)
	}
}
