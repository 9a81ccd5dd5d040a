// Command worker is a native worker for tests. The worker serves these paths on all listeners that it inherits:
//
//	/              the text "worker PID", with the header X-Worker: PID
//	/about         the arguments, environment, working directory, user and listeners of the worker, as JSON
//	/credential?name=…  the file of that name in $CREDENTIALS_DIRECTORY
//	/log?line=…    writes the line to stdout
//
// The response to a datagram is the PID of the worker and the contents of the datagram.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/clusterctl/clusterctl/activation"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// About is the JSON document at /about.
type About struct {
	Args      []string `json:"args"`
	Env       []string `json:"env"`
	Dir       string   `json:"dir"`
	UID       int      `json:"uid"`
	GID       int      `json:"gid"`
	Listeners []string `json:"listeners"`
}

func run() error {
	about := About{Args: os.Args, Env: os.Environ(), UID: os.Getuid(), GID: os.Getgid()}
	about.Dir, _ = os.Getwd()
	byName, err := activation.Listeners()
	if err != nil {
		return err
	}
	packets, err := activation.PacketConns()
	if err != nil {
		return err
	}
	var all []net.Listener
	for name, list := range byName {
		for _, l := range list {
			about.Listeners = append(about.Listeners, name+" "+l.Addr().Network()+" "+l.Addr().String())
			all = append(all, l)
		}
	}
	for name, list := range packets {
		for _, c := range list {
			about.Listeners = append(about.Listeners, name+" "+c.LocalAddr().Network()+" "+c.LocalAddr().String())
			go echo(c)
		}
	}
	return activation.Serve(context.Background(), &http.Server{Handler: handler(about)}, all...)
}

// handler returns the handler for all paths.
func handler(about About) http.Handler {
	pid := strconv.Itoa(os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Worker", pid)
		fmt.Fprintln(w, "worker", pid)
	})
	mux.HandleFunc("/about", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(about)
	})
	mux.HandleFunc("/credential", func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), filepath.Base(r.FormValue("name"))))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_, _ = w.Write(data)
	})
	mux.HandleFunc("/log", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.FormValue("line"))
		w.Header().Set("X-Worker", pid)
	})
	return mux
}

// The function echo answers datagrams until the socket is closed.
func echo(c net.PacketConn) {
	b := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = c.WriteTo(fmt.Appendf(nil, "%d %s", os.Getpid(), b[:n]), from)
	}
}
