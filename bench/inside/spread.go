package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// The type counts contains the number of connections of each worker that has a connection, largest first.
type counts struct {
	Connections []int `json:"connections"`
	Failed      int   `json:"failed"`
}

func countsOf(by map[string]int, failed int) counts {
	c := slices.Sorted(maps.Values(by))
	slices.Reverse(c)
	return counts{c, failed}
}

// spreadCommand opens connections, sends a request on each to find its worker, and keeps all connections open until the
// end: spread -port 8080 -n 200 -gap 5ms. Without a gap, all connections are opened at once.
func spreadCommand(args []string) (any, error) {
	f := flags("spread")
	port := f.Int("port", 0, "")
	n := f.Int("n", 200, "")
	gap := f.Duration("gap", 0, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	by, failed := map[string]int{}, 0
	var open []*client
	begin := time.Now()
	for i := range *n {
		if *gap > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * *gap)))
		}
		wg.Go(func() {
			c, err := dial(*port, time.Now().Add(10*time.Second))
			var a answer
			if err == nil {
				a, _, err = c.get("/", true)
			}
			mu.Lock()
			defer mu.Unlock()
			if c != nil {
				open = append(open, c)
			}
			if err != nil {
				failed++
				return
			}
			by[a.Worker]++
		})
	}
	wg.Wait()
	for _, c := range open {
		c.close()
	}
	if len(by) == 0 {
		return nil, fmt.Errorf("none of %d connections got a response", *n)
	}
	return countsOf(by, failed), nil
}

// spreadAfterCommand runs a command while clients send requests on kept connections, and returns how many clients each
// worker has at the end: spread-after -port 8080 -clients 64 -- pm2 reload hello.
func spreadAfterCommand(args []string) (any, error) {
	f := flags("spread-after")
	port := f.Int("port", 0, "")
	n := f.Int("clients", 64, "")
	think := f.Duration("think", 20*time.Millisecond, "")
	around := f.Duration("around", time.Second, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	cmd, done, err := prepare(f.Args())
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	last, failed := make([]string, *n), make([]int, *n)
	var wg sync.WaitGroup
	for i := range *n {
		wg.Go(func() { last[i], failed[i] = chat(*port, *think, stop) })
	}
	time.Sleep(*around)
	err = done(cmd.Run())
	time.Sleep(*around)
	close(stop)
	wg.Wait()
	if err != nil {
		return nil, err
	}
	by, lost := map[string]int{}, 0
	for i, w := range last {
		lost += failed[i]
		if w != "" {
			by[w]++
		}
	}
	return countsOf(by, lost), nil
}

// chat runs a client that sends requests with pauses on one connection, and opens a new one if the server closes it. chat
// returns the worker of the last response.
func chat(port int, think time.Duration, stop <-chan struct{}) (worker string, failed int) {
	var c *client
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	for {
		var err error
		if c == nil {
			c, err = dial(port, time.Now().Add(10*time.Second))
		}
		closing := true
		var a answer
		if err == nil {
			_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second)) // get also returns the error
			a, closing, err = c.get("/", true)
		}
		if err != nil {
			failed++
		} else {
			worker = a.Worker
		}
		if closing && c != nil {
			c.close()
			c = nil
		}
		select {
		case <-stop:
			return worker, failed
		case <-time.After(think):
		}
	}
}
