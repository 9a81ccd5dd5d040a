//go:build ignore

// httpd is an ordinary server with net/http. It listens by itself and knows nothing of systemd. It does not handle
// signals, so SIGTERM ends it at once. It is built without cgo, so it is static and no library can be preloaded into it.
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
