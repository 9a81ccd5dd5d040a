package activation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/clusterctl/clusterctl/activation"
)

// This program is a complete worker. Under systemd, the program serves on the sockets
// named "http", and without systemd on port 8080.
func Example() {
	listeners, err := activation.ListenAll("http", "tcp", "127.0.0.1:8080")
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %d\n", os.Getpid())
	})}
	err = activation.Serve(context.Background(), srv, listeners...)
	switch {
	case errors.Is(err, activation.ErrCut): // Serve has stopped, but had to cut the connection of a slow client
		fmt.Fprintln(os.Stderr, "worker:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// The server ends event streams when the drain begins.
func ExampleServer() {
	ending := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-ending:
		case <-r.Context().Done():
		}
	})
	s := activation.Server{
		HTTP:    &http.Server{Handler: mux},
		OnDrain: func(context.Context) { close(ending) },
	}
	l, err := activation.Listen("http", "tcp", "127.0.0.1:8080")
	if err == nil {
		err = s.Serve(context.Background(), l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
