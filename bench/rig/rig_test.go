package rig

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseWrk(t *testing.T) {
	const good = `Running 2s test @ http://127.0.0.1:8101/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   640.02us  301.06us  12.31ms   89.02%
    Req/Sec    24.20k     2.11k   27.06k    71.43%
  Latency Distribution
     50%  600.00us
     75%  720.00us
     90%    0.89ms
     99%    1.57ms
  50566 requests in 2.10s, 8.10MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 5
Requests/sec:  24076.41
Transfer/sec:      3.86MB
`
	got, err := ParseWrk(good)
	if want := (Rate{50566, 24076.41, 1.57, 9}); err != nil || got != want {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	clean := strings.Replace(strings.Replace(good,
		"  Socket errors: connect 0, read 3, write 0, timeout 1\n  Non-2xx or 3xx responses: 5\n", "", 1), "1.57ms", "640.00us", 1)
	got, err = ParseWrk(clean)
	if want := (Rate{50566, 24076.41, 0.64, 0}); err != nil || got != want {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	if _, err := ParseWrk("unable to connect to 127.0.0.1:8101 Connection refused\n"); err == nil {
		t.Error("ParseWrk returned no error for an error message")
	}
}

func TestParseAutocannon(t *testing.T) {
	got, err := ParseAutocannon("Running\n" + `{"errors":1,"non2xx":2,"requests":{"average":100.5,"total":201},"latency":{"p99":3}}`)
	if want := (Rate{201, 100.5, 3, 3}); err != nil || got != want {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
}

// TestSameForAll checks that both sides get the same script, number of workers and
// environment.
func TestSameForAll(t *testing.T) {
	a := App{Name: "hello", Script: "hello.js", Workers: 4, Env: []string{"TELL=1"}}
	ours, pm2 := a.On(8101).InstallCommand(), a.On(8102).PM2Command()
	for _, argv := range [][]string{ours, pm2} {
		if !slices.Contains(argv, "/opt/bench/hello.js") || !slices.Contains(argv, "TELL=1") || argv[slices.Index(argv, "-i")+1] != "4" {
			t.Errorf("got %q, want the script, the environment and 4 workers", argv)
		}
	}
	if !slices.Contains(ours, "PORT=8101") || !slices.Contains(pm2, "PORT=8102") || a.Port != 0 {
		t.Errorf("got the commands %q and %q, want PORT=8101 and PORT=8102", ours, pm2)
	}
}

// TestFiles checks that all files that are copied from the tree exist.
func TestFiles(t *testing.T) {
	for _, f := range Files("bin", "../..") {
		if strings.HasPrefix(f.From, "bin/") {
			continue
		}
		if _, err := os.Stat(f.From); err != nil {
			t.Error(err)
		}
	}
}
