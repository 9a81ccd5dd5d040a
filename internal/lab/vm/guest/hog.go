package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// hogPort is where the hog listens, and what the probe finds.
const hogPort = "8090"

// hog serves until SIGUSR1. Then it takes no more connections, answers those it has, and asks for memory until it is
// killed: whatever is lost after that is lost by a sibling.
func hog() error {
	grow, stop := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(grow, syscall.SIGUSR1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("tcp", ":"+hogPort)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Worker", fmt.Sprint(os.Getpid()))
		fmt.Fprintln(w, "hello")
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	greedy := false
	select {
	case err := <-served:
		return err
	case <-stop:
	case <-grow:
		greedy = true
	}
	// Not Shutdown alone: it does not see a connection that Accept has just returned.
	if err := l.Close(); err != nil {
		return err
	}
	<-served
	if err := srv.Shutdown(context.Background()); err != nil {
		return err
	}
	for taken := [][]byte{}; greedy; {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 1
		}
		taken = append(taken, b)
	}
	return nil
}
