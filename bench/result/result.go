// Package result is what a run of the benchmarks leaves behind: the figures of every comparison, pair by pair, and the
// statistics over them. It is pure; the file is JSON, schema 1.
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// Schema is the version of the file's format.
const Schema = 1

// File is one run.
type File struct {
	Schema int       `json:"schema"`
	Date   time.Time `json:"date"`
	// Quick marks a smoke run: fewer pairs, and shorter ones. Its figures prove nothing.
	Quick bool `json:"quick,omitempty"`
	// Seconds is how long the run took.
	Seconds     float64      `json:"seconds"`
	Machine     Machine      `json:"machine"`
	Comparisons []Comparison `json:"comparisons"`
}

// Machine says what it ran on, and with what.
type Machine struct {
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"`
	MemoryMB int    `json:"memory_mb"`
	Kernel   string `json:"kernel"`
	// Load is the load average over a minute before the run: what else the machine was doing.
	Load float64 `json:"load_before"`
	// Versions are name and version of what took part, in a fixed order.
	Versions []Version `json:"versions"`
}

// Version is a program that took part.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Status says whether a comparison was made.
type Status string

// The states of a comparison.
const (
	OK      Status = "ok"
	Failed  Status = "failed"
	LeftOut Status = "skipped"
)

// Comparison is one figure of ours beside one of a peer's.
type Comparison struct {
	// Name is the comparison, with a variant behind a slash.
	Name string `json:"name"`
	// What says in words what is measured.
	What string `json:"what"`
	// OurSide and PeerSide are what was compared.
	OurSide  string `json:"our_side"`
	PeerSide string `json:"peer_side"`
	Unit     string `json:"unit"`
	Better   Better `json:"better"`
	Status   Status `json:"status"`
	// Why is the reason, where the status is not ok.
	Why string `json:"why,omitempty"`

	// Ours, Peer and Ratio are medians over the pairs; Ratio is the median of the pairs' ratios, over 1 where we are
	// better. They are missing where nothing was measured.
	Ours  *float64 `json:"ours,omitempty"`
	Peer  *float64 `json:"peer,omitempty"`
	Ratio *float64 `json:"ratio,omitempty"`

	OursSpread  *Spread `json:"ours_spread,omitempty"`
	PeerSpread  *Spread `json:"peer_spread,omitempty"`
	RatioSpread *Spread `json:"ratio_spread,omitempty"`

	Pairs []Pair `json:"pairs,omitempty"`
	// Notes are what else was seen, in words.
	Notes []string `json:"notes,omitempty"`
}

// Pair is one measurement of each side, one right after the other.
type Pair struct {
	Ours  float64 `json:"ours"`
	Peer  float64 `json:"peer"`
	Ratio float64 `json:"ratio"`
}

// Add appends a pair. A figure that cannot be compared is an error, and is not added.
func (c *Comparison) Add(ours, peer float64) error {
	ratio, ok := c.Better.Ratio(ours, peer)
	if !ok {
		return fmt.Errorf("%s: %v against %v %s has no ratio", c.Name, ours, peer, c.Unit)
	}
	c.Pairs = append(c.Pairs, Pair{ours, peer, ratio})
	return nil
}

// Finish computes the statistics of the pairs. With fewer than least, the comparison counts as failed; what was measured
// stays.
func (c *Comparison) Finish(least int, err error) {
	if len(c.Pairs) > 0 {
		var ours, peer, ratio []float64
		for _, p := range c.Pairs {
			ours, peer, ratio = append(ours, p.Ours), append(peer, p.Peer), append(ratio, p.Ratio)
		}
		o, p, r := SpreadOf(ours), SpreadOf(peer), SpreadOf(ratio)
		c.OursSpread, c.PeerSpread, c.RatioSpread = &o, &p, &r
		c.Ours, c.Peer, c.Ratio = &o.Median, &p.Median, &r.Median
	}
	switch {
	case c.Status != "":
	case len(c.Pairs) >= least:
		c.Status = OK
	case err != nil:
		c.Status, c.Why = Failed, err.Error()
	default:
		c.Status, c.Why = Failed, fmt.Sprintf("%d pairs of %d were measured", len(c.Pairs), least)
	}
}

// Encode writes the file, indented, with a newline at its end.
func (f File) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(f)
}

// Decode reads a file and checks it.
func Decode(r io.Reader) (File, error) {
	var f File
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return File{}, fmt.Errorf("reading results: %w", err)
	}
	return f, f.Check()
}

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?$`)

// Check says everything that is wrong with a file.
func (f File) Check() error {
	var errs []error
	if f.Schema != Schema {
		errs = append(errs, fmt.Errorf("schema %d, want %d", f.Schema, Schema))
	}
	seen := map[string]bool{}
	for _, c := range f.Comparisons {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%q: %s", c.Name, fmt.Sprintf(format, args...)))
		}
		if !nameForm.MatchString(c.Name) {
			bad("not a name with at most one slash")
		}
		if seen[c.Name] {
			bad("is there twice")
		}
		seen[c.Name] = true
		if c.Better != More && c.Better != Less && c.Better != Fewer {
			bad("better is %q", c.Better)
		}
		switch c.Status {
		case OK:
			if c.Ours == nil || c.Peer == nil || c.Ratio == nil || len(c.Pairs) == 0 {
				bad("is ok and has no figures")
			}
		case Failed, LeftOut:
			if c.Why == "" {
				bad("is %s for no reason", c.Status)
			}
		default:
			bad("status %q", c.Status)
		}
	}
	return errors.Join(errs...)
}
