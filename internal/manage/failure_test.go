package manage

import (
	"context"
	"errors"
	"testing"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/units/control"
)

// TestNotReached: the error of a job means that the app is not where it should be, unless the caller was not permitted.
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
		var got *fault.NotReached
		err := notReached(c.err)
		if errors.As(err, &got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: %#v", c.err, err)
		}
	}
}
