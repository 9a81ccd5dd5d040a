// Command go-worker is an example of a worker in Go. Several processes share one socket
// and serve HTTP. No request is lost when a worker is stopped or replaced.
//
//	/              returns the name of the worker
//	/slow?ms=2000  returns the name of the worker after 2000 ms
//	/crash         ends the worker with status 1
//
// Each response has the process ID of the worker in the header X-Worker.
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
	listen := flag.String("listen", "127.0.0.1:8080", "listen on this address if systemd does not pass a socket")
	instance := flag.String("instance", os.Getenv("INSTANCE"), "the name of this worker")
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
	// "http" is the default name of stream sockets in units of clusterctl.
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
		fmt.Fprintln(os.Stderr, "go-worker:", err) // the stop succeeded, but a client was too slow
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
			http.Error(w, "ms must be between 0 and 60000", http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			fmt.Fprintf(w, "hello from %s, %d ms later\n", name, ms)
		case <-r.Context().Done(): // the client has disconnected
		}
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { crash() })
	pid := strconv.Itoa(os.Getpid())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Worker", pid)
		mux.ServeHTTP(w, r)
	})
}
