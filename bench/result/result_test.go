package result

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{[]float64{3}, Spread{3, 3, 3, 3, 3}},
		{[]float64{2, 1}, Spread{1, 1.25, 1.5, 1.75, 2}},
		{[]float64{5, 1, 4, 2, 3}, Spread{1, 2, 3, 4, 5}},
		{[]float64{4, 3, 2, 1}, Spread{1, 1.75, 2.5, 3.25, 4}},
	} {
		before := slices.Clone(c.in)
		if got := SpreadOf(c.in); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.in, got, c.want)
		}
		if !slices.Equal(c.in, before) {
			t.Errorf("%v was changed", before)
		}
	}
	if got := Quantile([]float64{10, 0}, 0.99); math.Abs(got-9.9) > 1e-9 {
		t.Errorf("the 99th percentile of 0 and 10 is %v, want 9.9", got)
	}
}

func TestSpreadIsOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 30).Draw(t, "figures")
		s := SpreadOf(in)
		all := []float64{s.Min, s.Q1, s.Median, s.Q3, s.Max}
		if !slices.IsSorted(all) || s.Min != slices.Min(in) || s.Max != slices.Max(in) {
			t.Fatalf("%v: got %+v, want sorted figures with the same minimum and maximum", in, s)
		}
	})
}

func TestRatio(t *testing.T) {
	for _, c := range []struct {
		b          Better
		ours, peer float64
		want       float64
		ok         bool
	}{
		{More, 200, 100, 2, true},
		{Less, 200, 100, 0.5, true},
		{Less, 5, 50, 10, true},
		{Fewer, 0, 0, 1, true},
		{Fewer, 0, 9, 10, true},
		{Fewer, 9, 0, 0.1, true},
		{More, 0, 100, 0, false},
		{Less, 100, 0, 0, false},
	} {
		got, ok := c.b.Ratio(c.ours, c.peer)
		if got != c.want || ok != c.ok {
			t.Errorf("Ratio of %s for %v and %v = %v, %v, want %v, %v", c.b, c.ours, c.peer, got, ok, c.want, c.ok)
		}
	}
}

func TestVerdict(t *testing.T) {
	for want, s := range map[Verdict]Spread{
		Ahead:  {0.9, 1.1, 1.5, 2, 3},
		Even:   {0.9, 0.95, 1.01, 1.1, 1.2},
		Behind: {0.1, 0.2, 0.3, 0.9, 1.4},
	} {
		if got := VerdictOf(s); got != want {
			t.Errorf("%+v: got %s, want %s", s, got, want)
		}
	}
}

func comparison() Comparison {
	return Comparison{Name: "list-latency/100", What: "w", OurSide: "a", PeerSide: "b", Unit: "ms", Better: Less}
}

func TestFinish(t *testing.T) {
	c := comparison()
	for _, p := range [][2]float64{{10, 100}, {20, 100}, {10, 300}} {
		if err := c.Add(p[0], p[1]); err != nil {
			t.Fatal(err)
		}
	}
	c.Finish(3, nil)
	// The ratio is the median of the pairs' ratios, not the ratio of the medians.
	if c.Status != OK || *c.Ours != 10 || *c.Peer != 100 || *c.Ratio != 10 || c.RatioSpread.Min != 5 || c.RatioSpread.Max != 30 {
		t.Errorf("got %+v, want the medians 10 and 100 and the ratio 10", c)
	}
	few := comparison()
	if err := few.Add(0, 1); err == nil {
		t.Error("Add returned no error for 0 ms")
	}
	if err := few.Add(1, 2); err != nil {
		t.Fatal(err)
	}
	few.Finish(5, errors.New("the peer has died"))
	if few.Status != Failed || few.Why != "the peer has died" || few.Ratio == nil || len(few.Pairs) != 1 {
		t.Errorf("got %+v", few)
	}
	none := comparison()
	none.Finish(5, nil)
	if none.Status != Failed || none.Why != "only 0 of 5 pairs were measured" || none.Ratio != nil {
		t.Errorf("got %+v, want a failure without a ratio", none)
	}
}

func TestRoundTrip(t *testing.T) {
	c := comparison()
	_ = c.Add(1.5, 3)
	c.Notes = []string{"a < b & c"}
	c.Finish(1, nil)
	skipped := comparison()
	skipped.Name, skipped.Status, skipped.Why = "herd/64-cpu", LeftOut, "not in a quick run"
	f := File{
		Schema: Schema, Date: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Quick: true, Seconds: 12.5,
		Machine:     Machine{CPU: "x", CPUs: 2, Versions: []Version{{"node", "v20"}}},
		Comparisons: []Comparison{c, skipped},
	}
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"comparisons": [`, `"name": "list-latency/100"`, `"ours": 1.5`, `"peer": 3`,
		`"unit": "ms"`, `"ratio": 2`, `"pairs": [`, "a < b & c"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing %s in\n%s", want, b.String())
		}
	}
	got, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f, got); d != "" {
		t.Error(d)
	}
}

func TestCheck(t *testing.T) {
	good := comparison()
	_ = good.Add(1, 2)
	good.Finish(1, nil)
	for _, c := range []struct {
		change func(*File)
		want   string
	}{
		{func(f *File) { f.Schema = 2 }, "schema 2, want 1"},
		{func(f *File) { f.Comparisons[0].Name = "a/b/c" }, "invalid name"},
		{func(f *File) { f.Comparisons = append(f.Comparisons, good) }, "duplicate name"},
		{func(f *File) { f.Comparisons[0].Better = "higher" }, "invalid value of better"},
		{func(f *File) { f.Comparisons[0].Ratio = nil }, "without figures"},
		{func(f *File) { f.Comparisons[0].Status = Failed }, "without a reason"},
		{func(f *File) { f.Comparisons[0].Status = "" }, `invalid status ""`},
	} {
		f := File{Schema: Schema, Comparisons: []Comparison{good}}
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		c.change(&f)
		if err := f.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if _, err := Decode(strings.NewReader(`{"schema":1,"more":2}`)); err == nil {
		t.Error("Decode returned no error for an unknown field")
	}
}
