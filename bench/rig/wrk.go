package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rate contains the results of wrk or autocannon.
type Rate struct {
	Requests float64
	RPS      float64
	P99      float64 // milliseconds
	Errors   int     // socket errors, and responses that are not 2xx or 3xx
}

// Wrk runs wrk: it sends requests as fast as responses arrive, over conns connections, for some seconds. Without
// keepAlive, each request has its own connection.
func (r *Rig) Wrk(ctx context.Context, port, conns, seconds int, keepAlive bool) (Rate, error) {
	argv := []string{"wrk", "-t1", "-c" + strconv.Itoa(conns), "-d" + strconv.Itoa(seconds) + "s", "--latency"}
	if !keepAlive {
		argv = append(argv, "-H", "Connection: close")
	}
	out, err := r.Run(ctx, append(argv, fmt.Sprintf("http://127.0.0.1:%d/", port))...)
	if err != nil {
		return Rate{}, err
	}
	return ParseWrk(out)
}

var (
	wrkRate   = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)$`)
	wrkCount  = regexp.MustCompile(`(?m)^\s+(\d+) requests in `)
	wrkP99    = regexp.MustCompile(`(?m)^\s+99%\s+([0-9.]+(?:us|ms|s|m))$`)
	wrkErrors = regexp.MustCompile(`(?m)^\s+Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$`)
	wrkStatus = regexp.MustCompile(`(?m)^\s+Non-2xx or 3xx responses: (\d+)$`)
)

// ParseWrk parses the output of wrk --latency.
func ParseWrk(out string) (Rate, error) {
	rate, count := wrkRate.FindStringSubmatch(out), wrkCount.FindStringSubmatch(out)
	if rate == nil || count == nil {
		return Rate{}, fmt.Errorf("wrk: no rate in %q", out)
	}
	var r Rate
	var err error
	if r.RPS, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return Rate{}, fmt.Errorf("wrk: %w", err)
	}
	if r.Requests, err = strconv.ParseFloat(count[1], 64); err != nil {
		return Rate{}, fmt.Errorf("wrk: %w", err)
	}
	if m := wrkP99.FindStringSubmatch(out); m != nil {
		d, err := time.ParseDuration(m[1])
		if err != nil {
			return Rate{}, fmt.Errorf("wrk: %w", err)
		}
		r.P99 = float64(d.Microseconds()) / 1000
	}
	for _, form := range []*regexp.Regexp{wrkErrors, wrkStatus} {
		m := form.FindStringSubmatch(out)
		for i := 1; i < len(m); i++ {
			n, err := strconv.Atoi(m[i])
			if err != nil {
				return Rate{}, fmt.Errorf("wrk: %w", err)
			}
			r.Errors += n
		}
	}
	return r, nil
}

// Autocannon does the same as the method Wrk, but with the program autocannon as the client, which is popular among users of
// Node. autocannon is a Node program itself, and uses much CPU time.
func (r *Rig) Autocannon(ctx context.Context, port, conns, seconds int) (Rate, error) {
	out, err := r.Run(ctx, "autocannon", "--json", "-c", strconv.Itoa(conns), "-d", strconv.Itoa(seconds),
		fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		return Rate{}, err
	}
	return ParseAutocannon(out)
}

// ParseAutocannon parses the output of autocannon --json.
func ParseAutocannon(out string) (Rate, error) {
	var v struct {
		Requests struct{ Average, Total float64 }
		Latency  struct{ P99 float64 }
		Errors   int
		Non2xx   int
	}
	if i := strings.IndexByte(out, '{'); i > 0 {
		out = out[i:]
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		return Rate{}, fmt.Errorf("autocannon: %w", err)
	}
	return Rate{Requests: v.Requests.Total, RPS: v.Requests.Average, P99: v.Latency.P99, Errors: v.Errors + v.Non2xx}, nil
}
