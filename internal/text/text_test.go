package text

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0K", 1536: "2K", 12201984: "11.6M", 5 << 30: "5.00G", 1000 << 20: "0.98G",
		100 << 20: "100M"} {
		if got := Size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 70 * time.Millisecond: "70ms", 4200 * time.Millisecond: "4.2s", 59 * time.Second: "59s",
		190 * time.Second:           "3m10s",
		5*time.Hour + 2*time.Minute: "5h02m", 290 * time.Hour: "12d",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	if got := Count(1, "instance") + ", " + Count(0, "CPU"); got != "1 instance, 0 CPUs" {
		t.Error(got)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"install", "uninstall", "start", "stop", "restart", "ls", "list", "l", "json", "max-restarts"}
	for word, want := range map[string]string{
		"instal": "install", "isntall": "install", "unistall": "uninstall", "strat": "start", "sto": "stop",
		"lsit": "list", "inst": "install",
		"max-restart": "max-restarts", "max": "max-restarts", "x": "", "": "", "frobnicate": "", "scale": "",
		"version": "", "jsno": "json", "lls": "ls",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringN(0, 8, -1).Draw(t, "a"), rapid.StringN(0, 8, -1).Draw(t, "b")
		if d := Edits(a, b); d != Edits(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("Edits(%q, %q): got %d, and %d for the reverse", a, b, d, Edits(b, a))
		}
	})
}
