package main

import (
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/units"
)

// noteCuts adds to the results of a command which connections it may have cut, and notes them.
func (e *env) noteCuts(n units.Name, since time.Time, list []instanceRoll) {
	for i, one := range list {
		if one.Outcome == "untouched" || one.Outcome == "skipped" {
			continue
		}
		if cut := status.CutOf(e.host, n, one.Instance, since); cut != nil {
			list[i].Cut = cut
			e.note("%s: %s", strings.TrimSuffix(one.Unit, ".service"), cut)
		}
	}
}
