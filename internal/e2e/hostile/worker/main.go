// Command worker is a taken-over worker: a small web server that, when asked,
// tries everything that a sandboxed worker must not be able to do, and answers
// with what it got. It does no lasting harm: it sends signal 0, and it writes
// only files whose name begins with "hostile-".
//
// GET /          "ok"
// GET /attack    JSON, a list of {"name", "got"}; got is empty when the attempt failed.
//
//	?pid=N         a process of the same user outside of the sandbox
//	?read=PATH     a file that must stay unreadable; may repeat
//	?keep=PATH     a file that must stay as it is; may repeat
//
// GET /replace?path=P&link=T   replaces P by a symbolic link to T and answers with the error, or "ok"
// GET /env       its environment, one variable a line
// GET /stay      from now on it ignores SIGTERM and asks systemd for more time, again and again
// GET /forge?unit=U&app=A&text=T   sends the journal a line that claims to be systemd's about U
// GET /silence?way=W  tries to close the shared listener for everybody: shutdown, race, disconnect, filter or listen
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
	// Before anybody can take the right to speak away.
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
	notify("READY=1") // the notifier may have lost the right to say so
	return http.Serve(stubborn{l}, mux)
}

// listener returns the inherited socket in a native worker, and else binds the port in $PORT.
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

// stay ignores SIGTERM and extends every time limit of systemd's that the worker may extend.
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

// forge sends journald a line with the fields that systemd itself gives its messages about a unit.
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
