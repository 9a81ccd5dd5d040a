// Command worker is a hostile worker for tests: a web server that runs attacks on request, and returns their results. The
// worker does not damage the machine: it sends only signal 0, and it creates only files whose names begin with
// "hostile-".
//
// GET /          "ok"
// GET /attack    runs all attacks, and returns a JSON list of {"name", "got"}; got is empty if the attack failed
//
//	?pid=N         a process of the same user outside of the sandbox
//	?read=PATH     a file that the worker must not be able to read; may be repeated
//	?keep=PATH     a file that the worker must not be able to change; may be repeated
//
// GET /replace?path=P&link=T   replaces P with a symbolic link to T, and returns the error or "ok"
// GET /env       the environment of the worker, one variable per line
// GET /stay      ignores SIGTERM from now on, and sends EXTEND_TIMEOUT_USEC= to systemd every 100 ms
// GET /forge?unit=U&app=A&text=T   sends a line to the journal with the fields of a line of systemd about the unit U
// GET /silence?way=W  tries to close the shared listener for all workers; W is shutdown, race, disconnect, filter or listen
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
	// The worker must send NOTIFYACCESS=main first, because systemd may ignore later notifications of the worker.
	notify("NOTIFYACCESS=main")
	l, err := listener()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/attack", runAttacks)
	mux.HandleFunc("/replace", replace)
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, strings.Join(os.Environ(), "\n")) })
	mux.HandleFunc("/stay", stay)
	mux.HandleFunc("/forge", forge)
	mux.HandleFunc("/silence", closeListener(l))
	fmt.Println("listening")
	notify("READY=1") // systemd may not accept READY=1 from the shim after NOTIFYACCESS=main
	return http.Serve(retryingListener{l}, mux)
}

// The function listener returns the inherited listener in a native worker. In other workers, it opens the port in $PORT.
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

func runAttacks(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	pid, _ := strconv.Atoi(q.Get("pid"))
	v := targets{pid: pid, secrets: q["read"], kept: q["keep"]}
	type result struct {
		Name string `json:"name"`
		Got  string `json:"got"`
	}
	var results []result
	for _, a := range attacks() {
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

// The function stay makes the worker ignore stop signals, and extend systemd's timeouts every 100 ms.
func stay(w http.ResponseWriter, _ *http.Request) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			notify("EXTEND_TIMEOUT_USEC=600000000")
		}
	}()
	fmt.Fprintln(w, "ok")
}

// The function notify sends a notification to systemd (sd_notify(3)), and ignores errors.
func notify(state string) {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}

// The function forge sends a line to journald with the fields that systemd sets in its lines about a unit.
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
