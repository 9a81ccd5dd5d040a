package manage

import (
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
)

// noteCuts adds to the results of a command which connections it may have cut, and notes them.
func (m *Manager) noteCuts(n units.Name, since time.Time, list []InstanceResult) {
	for i, one := range list {
		if one.Outcome == "untouched" || one.Outcome == "skipped" {
			continue
		}
		if cut := status.CutOf(m.Host, n, one.Instance, since); cut != nil {
			list[i].Cut = cut
			m.Note("%s: %s", strings.TrimSuffix(one.Unit, ".service"), cut)
		}
	}
}
