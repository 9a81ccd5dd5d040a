package main

import (
	"slices"
	"sync"
	"time"
)

// The type light contains the results of light requests, during which other requests blocked the workers.
type light struct {
	MS     []float64 `json:"ms"` // latencies of requests with a response, from the scheduled time
	Failed int       `json:"failed"`
	Heavy  int       `json:"heavy"` // number of blocking requests with a response
}

// lightCommand sends light requests at a fixed rate, each on its own connection, and measures the time from the scheduled
// time of a request to its response. At the same time, other clients (-clients) send requests that block a worker. Such a
// client sends its next request after the response to the last one. For example: light -port 8080 -light /x -heavy /
// -clients 1 -rate 50 -for 5s.
func lightCommand(args []string) (any, error) {
	f := flags("light")
	port := f.Int("port", 0, "")
	path := f.String("light", "/light", "")
	heavy := f.String("heavy", "/", "")
	clients := f.Int("clients", 1, "")
	rate := f.Int("rate", 50, "")
	length := f.Duration("for", 5*time.Second, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var got light
	begin := time.Now()
	end := begin.Add(*length)
	var blocking, all sync.WaitGroup
	for range *clients {
		blocking.Go(func() {
			for time.Now().Before(end) {
				_, err := getOnce(*port, *heavy, time.Now().Add(10*time.Second))
				mu.Lock()
				if err == nil {
					got.Heavy++
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(10 * time.Millisecond) // the program has exited; wait for its restart
				}
			}
		})
	}
	for i := range int(length.Seconds() * float64(*rate)) {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(*rate))
		time.Sleep(time.Until(due))
		all.Go(func() {
			_, err := getOnce(*port, *path, due.Add(10*time.Second))
			took := ms(time.Since(due))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				got.Failed++
				return
			}
			got.MS = append(got.MS, took)
		})
	}
	all.Wait()
	blocking.Wait()
	slices.Sort(got.MS)
	return got, nil
}
