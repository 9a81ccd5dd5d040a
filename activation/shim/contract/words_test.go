package contract

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWaitingIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Waiting{
			Delay:     time.Duration(rapid.Int64Range(0, int64(MaxDelay)).Draw(t, "delay")),
			ShortRuns: rapid.IntRange(0, 1<<30).Draw(t, "runs"), Last: rapid.StringMatching(`[a-z]+(/[0-9A-Z]+)?`).Draw(t, "last"),
		}
		if got, ok := ParseWaiting(w.String()); !ok || got != w {
			t.Fatalf("ParseWaiting(%q) = %+v, %v, want %+v", w, got, ok, w)
		}
	})
	for _, s := range []string{
		"", "serving", "waiting", "waiting for the database", "waiting long after 3 short runs, the last with x",
		"waiting 1s after x short runs, the last with y",
	} {
		if w, ok := ParseWaiting(s); ok {
			t.Errorf("ParseWaiting(%q) = %+v, want an error", s, w)
		}
	}
}

func TestExitIsReadBack(t *testing.T) {
	for text, want := range map[string]Exit{
		"": {}, "exited/7": {"exited", "7"}, "killed/SEGV": {"killed", "SEGV"}, "exited": {Code: "exited"},
	} {
		if got := ParseExit(text); got != want || got.String() != text {
			t.Errorf("ParseExit(%q) = %+v with the String %q, want %+v with the same text", text, got, got, want)
		}
	}
}
