package status

import (
	"testing"

	"github.com/clusterctl/clusterctl/units"
)

// TestAdd checks that an app that is added twice is listed once.
func TestAdd(t *testing.T) {
	var l List
	a, b := units.App{Name: "a"}, units.App{Name: "b"}
	l.Add(a, 4, 2)
	l.Add(b, 2, 0)
	l.Add(a, 4, 3)
	l.Add(b, 2, 1)
	if len(l.Known) != 2 || len(l.Known[0].onlyInstances) != 2 || l.Known[1].onlyInstances != nil || len(l.units()) != 5+3 {
		t.Errorf("got %+v", l.Known)
	}
	l.Add(a, 4, 0)
	if l.Known[0].onlyInstances != nil {
		t.Errorf("got %+v", l.Known)
	}
}
