package main

import (
	"fmt"
	"net"
	"time"
)

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// timings are durations in milliseconds.
type timings struct {
	MS []float64 `json:"ms"`
}

// timeCommand measures n runs of a command: time -n 5 -- clusterctl ls.
func timeCommand(args []string) (any, error) {
	f := flags("time")
	n := f.Int("n", 1, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var t timings
	for range *n {
		cmd, done, err := prepare(f.Args())
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		err = cmd.Run()
		t.MS = append(t.MS, ms(time.Since(begin)))
		if err := done(err); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// readyTimes contains the time until a command returned, and the time until the last of its workers reported that it
// listens.
type readyTimes struct {
	Command float64 `json:"command_ms"`
	Ready   float64 `json:"ready_ms"`
}

// readyCommand runs a command and waits for the datagrams of n workers: ready -port 9000 -n 6 -- clusterctl scale x 8.
func readyCommand(args []string) (any, error) {
	f := flags("ready")
	port := f.Int("port", 0, "")
	n := f.Int("n", 1, "")
	timeout := f.Duration("timeout", time.Minute, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: *port})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	cmd, done, err := prepare(f.Args())
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := conn.SetReadDeadline(begin.Add(*timeout)); err != nil {
		return nil, err
	}
	returned := make(chan error, 1)
	var took readyTimes
	go func() {
		err := cmd.Run()
		took.Command = ms(time.Since(begin))
		returned <- done(err)
	}()
	seen := map[string]bool{}
	for b := make([]byte, 64); len(seen) < *n; {
		k, err := conn.Read(b)
		if err != nil {
			return nil, fmt.Errorf("only %d of %d workers listen: %w", len(seen), *n, err)
		}
		seen[string(b[:k])] = true
	}
	ready := ms(time.Since(begin))
	if err := <-returned; err != nil {
		return nil, err
	}
	took.Ready = ready
	return took, nil
}
