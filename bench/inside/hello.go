package main

import (
	"fmt"
	"net/http"
)

// helloCommand runs an ordinary HTTP server in Go with the same response as hello.js.
func helloCommand(args []string) (any, error) {
	f := flags("hello")
	port := f.Int("port", 0, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return nil, http.ListenAndServe(fmt.Sprintf(":%d", *port), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello")
	}))
}
