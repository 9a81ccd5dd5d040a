// Command worker is a worker that an attacker has taken over: a small web server that, on request, tries everything that a
// sandboxed worker must not be able to do, and answers with the results. It does no lasting harm: the only signal that it
// sends is signal 0, and it writes only files whose name begins with "hostile-".
//
// GET /          "ok"
// GET /attack    JSON, a list of {"name", "got"}; got is empty when the attempt failed.
//
//	?pid=N         a process of the same user outside of the sandbox
//	?read=PATH     a file that must stay unreadable; may be repeated
//	?keep=PATH     a file that must not change; may be repeated
//
// GET /replace?path=P&link=T   replaces P by a symbolic link to T, and answers with the error or "ok"
// GET /env       the environment of the worker, one variable per line
// GET /stay      makes the worker ignore SIGTERM, and ask systemd for more time again and again
// GET /forge?unit=U&app=A&text=T   sends the journal a line about U that claims to be from systemd
// GET /silence?way=W  tries to close the shared listener for all workers: shutdown, race, disconnect, filter or listen
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "hostile worker:", err)
		os.Exit(1)
	}
}

func serve() error {
	// This must come before anything can take the right to send notifications away.
	notify("NOTIFYACCESS=main")
	l, err := listener()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/attack", attack)
	mux.HandleFunc("/replace", replace)
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, strings.Join(os.Environ(), "\n")) })
	mux.HandleFunc("/stay", stay)
	mux.HandleFunc("/forge", forge)
	mux.HandleFunc("/silence", silence(l))
	fmt.Println("listening")
	notify("READY=1") // the notifier may have lost the right to send this
	return http.Serve(stubborn{l}, mux)
}

// listener returns the inherited socket in a native worker. In other workers it binds the port in $PORT.
func listener() (net.Listener, error) {
	if os.Getenv("LISTEN_FDS") != "" && os.Getenv("HOSTILE_NATIVE") != "" {
		l, err := net.FileListener(os.NewFile(3, "listener"))
		if err == nil {
			notify("READY=1")
		}
		return l, err
	}
	return net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
}

func attack(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	pid, _ := strconv.Atoi(q.Get("pid"))
	v := victim{pid: pid, secrets: q["read"], kept: q["keep"]}
	type result struct {
		Name string `json:"name"`
		Got  string `json:"got"`
	}
	var results []result
	for _, a := range attempts() {
		results = append(results, result{a.name, a.try(v)})
	}
	_ = json.NewEncoder(w).Encode(results)
}

func replace(w http.ResponseWriter, r *http.Request) {
	path, link := r.URL.Query().Get("path"), r.URL.Query().Get("link")
	err := os.Remove(path)
	if err == nil {
		err = os.Symlink(link, path)
	}
	if err != nil {
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// stay ignores SIGTERM and keeps extending every timeout of systemd that a worker may extend.
func stay(w http.ResponseWriter, _ *http.Request) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			notify("EXTEND_TIMEOUT_USEC=600000000")
		}
	}()
	fmt.Fprintln(w, "ok")
}

func notify(state string) {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}

// forge sends journald a line with the fields that systemd sets in its messages about a unit.
func forge(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	c, err := net.Dial("unixgram", "/run/systemd/journal/socket")
	if err == nil {
		defer c.Close()
		_, err = fmt.Fprintf(c, "MESSAGE=%s\nPRIORITY=3\nSYSLOG_IDENTIFIER=systemd\nUNIT=%s\nOBJECT_SYSTEMD_UNIT=%s\n"+
			"CLUSTERCTL_APP=%s\nCLUSTERCTL_INSTANCE=1\nCLUSTERCTL_SENDER=worker\n",
			q.Get("text"), q.Get("unit"), q.Get("unit"), q.Get("app"))
	}
	fmt.Fprintln(w, err)
}
