//go:build ignore

// httpd is a common server with net/http, which does not use systemd. It does not handle signals, so SIGTERM ends it
// immediately. It is built without cgo, so it is static, and LD_PRELOAD has no effect.
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
