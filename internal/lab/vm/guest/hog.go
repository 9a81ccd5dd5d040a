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

// hogPort is the port on which the hog listens.
const hogPort = "8090"

// The program hog serves HTTP until SIGTERM or SIGUSR1. After SIGUSR1, it closes its listener, answers its open requests,
// and allocates memory until it is killed. So the kill of the hog breaks no request.
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
	// Shutdown may overlook a connection that Accept has just returned, so close the listener first and wait for Serve.
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
