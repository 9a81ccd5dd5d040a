package journal

import (
	"slices"
	"testing"
	"time"
)

func TestTailArguments(t *testing.T) {
	got := tailArguments("shop@1.service", "", 10, time.Unix(1700000000, 999_000_000))
	want := []string{"--unit=shop@1.service", "--lines=10", "--since=@1700000000", "--output=cat", "--no-pager", "--quiet", "--all"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
