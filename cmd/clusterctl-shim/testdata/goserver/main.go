// Command goserver is an ordinary net/http server: goserver :8080.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "pid %d peer %s\n", os.Getpid(), r.RemoteAddr)
	})))
}
