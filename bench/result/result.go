// Package result defines the results of a benchmark run: the figures of each comparison, pair by pair, and their
// statistics. The file format is JSON, schema 1.
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

// File contains the results of one run.
type File struct {
	Schema int       `json:"schema"`
	Date   time.Time `json:"date"`
	// Quick marks a smoke run with fewer and shorter pairs. The figures of a smoke run prove nothing.
	Quick bool `json:"quick,omitempty"`
	// Seconds is the duration of the run.
	Seconds     float64      `json:"seconds"`
	Machine     Machine      `json:"machine"`
	Comparisons []Comparison `json:"comparisons"`
}

// Machine describes the host and the programs of a run.
type Machine struct {
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"`
	MemoryMB int    `json:"memory_mb"`
	Kernel   string `json:"kernel"`
	// Load is the load average over a minute before the run, which shows other work of the host.
	Load float64 `json:"load_before"`
	// Versions are the names and versions of the programs, in a fixed order.
	Versions []Version `json:"versions"`
}

// Version is the version of a program.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Status is the state of a comparison.
type Status string

// The states of a comparison.
const (
	OK      Status = "ok"
	Failed  Status = "failed"
	LeftOut Status = "skipped"
)

// Comparison compares a figure of clusterctl with a figure of a peer.
type Comparison struct {
	// Name is the name of the comparison. A variant follows after a slash.
	Name string `json:"name"`
	// The field What describes the measured quantity in words.
	What string `json:"what"`
	// OurSide and PeerSide are the compared programs.
	OurSide  string `json:"our_side"`
	PeerSide string `json:"peer_side"`
	Unit     string `json:"unit"`
	Better   Better `json:"better"`
	Status   Status `json:"status"`
	// The field Why contains the reason if the status is not "ok".
	Why string `json:"why,omitempty"`

	// Ours and Peer are the medians of the figures of all pairs. Ratio is the median of the ratios of all pairs; a value
	// over 1 is better for clusterctl. Ours, Peer and Ratio are nil if nothing was measured.
	Ours  *float64 `json:"ours,omitempty"`
	Peer  *float64 `json:"peer,omitempty"`
	Ratio *float64 `json:"ratio,omitempty"`

	OursSpread  *Spread `json:"ours_spread,omitempty"`
	PeerSpread  *Spread `json:"peer_spread,omitempty"`
	RatioSpread *Spread `json:"ratio_spread,omitempty"`

	Pairs []Pair `json:"pairs,omitempty"`
	// Notes are other observations, in words.
	Notes []string `json:"notes,omitempty"`
}

// Pair contains one measurement of each side. The second one follows the first one without a pause.
type Pair struct {
	Ours  float64 `json:"ours"`
	Peer  float64 `json:"peer"`
	Ratio float64 `json:"ratio"`
}

// Add appends a pair. Add returns an error if the figures have no ratio, and then does not add the pair.
func (c *Comparison) Add(ours, peer float64) error {
	ratio, ok := c.Better.Ratio(ours, peer)
	if !ok {
		return fmt.Errorf("%s: %v against %v %s has no ratio", c.Name, ours, peer, c.Unit)
	}
	c.Pairs = append(c.Pairs, Pair{ours, peer, ratio})
	return nil
}

// Finish computes the statistics of the pairs. If there are fewer pairs than the parameter least, the comparison fails, but
// keeps its figures.
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
		c.Status, c.Why = Failed, fmt.Sprintf("only %d of %d pairs were measured", len(c.Pairs), least)
	}
}

// Encode writes the file as indented JSON with a final newline.
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

// Check returns an error with all problems of a file.
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
			bad("invalid name")
		}
		if seen[c.Name] {
			bad("duplicate name")
		}
		seen[c.Name] = true
		if c.Better != More && c.Better != Less && c.Better != Fewer {
			bad("invalid value of better: %q", c.Better)
		}
		switch c.Status {
		case OK:
			if c.Ours == nil || c.Peer == nil || c.Ratio == nil || len(c.Pairs) == 0 {
				bad("status is ok without figures")
			}
		case Failed, LeftOut:
			if c.Why == "" {
				bad("status is %s without a reason", c.Status)
			}
		default:
			bad("invalid status %q", c.Status)
		}
	}
	return errors.Join(errs...)
}
