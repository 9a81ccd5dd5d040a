// Command go-worker is an example of a worker in Go: one process of many on one shared
// socket, which serves HTTP and loses no request when it is stopped or replaced.
//
//	/              who answers
//	/slow?ms=2000  the same, later
//	/crash         exits with status 1
//
// Every answer carries the process id in X-Worker.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/clusterctl/clusterctl/activation"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where to listen when systemd passes no socket")
	instance := flag.String("instance", os.Getenv("INSTANCE"), "what to call this worker")
	flag.Parse()
	if err := run(*listen, name(*instance)); err != nil {
		fmt.Fprintln(os.Stderr, "go-worker:", err)
		os.Exit(1)
	}
}

func name(instance string) string {
	if instance == "" {
		return fmt.Sprintf("pid %d", os.Getpid())
	}
	return fmt.Sprintf("instance %s, pid %d", instance, os.Getpid())
}

func run(address, name string) error {
	// "http" is what clusterctl calls a stream socket that was given no name.
	listeners, err := activation.ListenAll("http", "tcp", address)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		fmt.Fprintf(os.Stderr, "%s: listening on %v\n", name, l.Addr())
	}
	srv := &http.Server{Handler: routes(name, func() { os.Exit(1) }), ReadHeaderTimeout: 10 * time.Second}
	err = activation.Serve(context.Background(), srv, listeners...)
	if errors.Is(err, activation.ErrCut) {
		fmt.Fprintln(os.Stderr, "go-worker:", err) // it stopped as asked, and somebody was too slow
		return nil
	}
	return err
}

func routes(name string, crash func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello from", name) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.FormValue("ms"))
		if err != nil || ms < 0 || ms > 60_000 {
			http.Error(w, "ms has to be a number from 0 to 60000", http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			fmt.Fprintf(w, "hello from %s, %d ms later\n", name, ms)
		case <-r.Context().Done(): // the client has gone
		}
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { crash() })
	pid := strconv.Itoa(os.Getpid())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Worker", pid)
		mux.ServeHTTP(w, r)
	})
}
