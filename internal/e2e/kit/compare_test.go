package kit

import (
	"slices"
	"testing"
)

func TestDifference(t *testing.T) {
	for _, c := range []struct{ before, after, more, fewer []string }{
		{nil, nil, nil, nil},
		{[]string{"a", "b"}, []string{"b", "a"}, nil, nil},
		{[]string{"a"}, []string{"a", "a", "c"}, []string{"a", "c"}, nil},
		{[]string{"a", "a", "b"}, []string{"a"}, nil, []string{"a", "b"}},
	} {
		more, fewer := Difference(c.before, c.after)
		if !slices.Equal(more, c.more) || !slices.Equal(fewer, c.fewer) {
			t.Errorf("Difference(%q, %q) = %q, %q; want %q, %q", c.before, c.after, more, fewer, c.more, c.fewer)
		}
	}
}
