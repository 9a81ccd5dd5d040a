package manage

import (
	"context"
	"errors"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units/control"
)

// TestNotReached checks that the error of a job becomes a NotReached, unless the caller had no permission.
func TestNotReached(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&control.RefusedError{Unit: "shop@1.service", Op: control.Restart, Job: "stop", Err: control.ErrConflict}, true},
		{&control.JobError{Unit: "shop@1.service", Result: control.Canceled}, true},
		{&control.RefusedError{Unit: "shop@1.service", Err: control.ErrPermission}, false},
		{&control.RefusedError{Unit: "shop@1.service", Err: control.ErrMasked}, true},
		{context.Canceled, false},
	} {
		err := notReached(c.err)
		if hasType[*fault.NotReached](err) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: got %#v, want a NotReached: %v", c.err, err, c.want)
		}
	}
}
