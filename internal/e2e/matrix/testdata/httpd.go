//go:build ignore

// httpd is an ordinary server of net/http: it listens by itself, knows nothing of systemd, and ends on SIGTERM at once,
// as a Go program does that says nothing about signals. Built without cgo, it is static, so that nothing could be
// preloaded into it.
package main

import (
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	pid := strconv.Itoa(os.Getpid())
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if ms, err := strconv.Atoi(r.FormValue("ms")); err == nil {
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		_, _ = w.Write([]byte("hello from " + r.URL.Path + " by " + pid + "\n"))
	})
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
