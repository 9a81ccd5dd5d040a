package drain_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// The function serve runs a server on the listener at descriptor 3. args[0] is the kind of the server.
func serve(args []string) int {
	kind := ""
	if len(args) > 0 {
		kind = args[0]
	}
	switch kind {
	case "epolls":
		return serveEpolls()
	case "readd":
		return serveReAdd()
	case "many":
		return serveMany()
	case "uring":
		return serveUring()
	}
	file := os.NewFile(3, "listener")
	defer runtime.KeepAlive(file) // the tests identify the listener by descriptor 3
	l, err := net.FileListener(file)
	if err != nil {
		return 1
	}
	server := &http.Server{Handler: handler()}
	switch kind {
	case "graceful":
		return serveGraceful(server, l)
	case "private":
		private, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return 1
		}
		go server.Serve(private)
		time.AfterFunc(50*time.Millisecond, func() {
			os.WriteFile(os.Getenv("READY")+".tmp", []byte(private.Addr().String()), 0o644)
			os.Rename(os.Getenv("READY")+".tmp", os.Getenv("READY"))
		})
	}
	server.Serve(l)
	return 0
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello\n") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Second)
		io.WriteString(w, "hello\n")
	})
	mux.HandleFunc("/parts", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hel")
		http.NewResponseController(w).Flush()
		time.Sleep(2 * time.Second)
		io.WriteString(w, "lo\n")
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			io.WriteString(w, "data: x\n\n")
			http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, largeBody))
	})
	mux.HandleFunc("/never", func(w http.ResponseWriter, r *http.Request) { forever() })
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) {
		// Wait until the client sends one more byte.
		_, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		if _, err := rw.ReadByte(); err == nil {
			os.Exit(0)
		}
	})
	return mux
}

// largeBody is the size of a body that does not fit into the socket buffers of server and client.
const largeBody = 64 << 20

func serveGraceful(server *http.Server, l net.Listener) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		server.Shutdown(context.Background())
	}()
	server.Serve(l)
	<-ended
	return 0
}

// epollEntries is the number of entries that serveEpolls makes.
const epollEntries = 40 + 3

// serveEpolls adds the listener to two epoll instances, one inside the other, with many descriptor numbers and with
// EPOLLEXCLUSIVE.
func serveEpolls() int {
	outer, err1 := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	inner, err2 := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err1 != nil || err2 != nil {
		return 1
	}
	add := func(ep, fd int, events uint32) bool {
		return unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}) == nil
	}
	ok := add(outer, inner, unix.EPOLLIN) && add(inner, 3, unix.EPOLLIN)
	ok = ok && add(outer, 3, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	for number := 40; number < 80; number++ {
		ok = ok && unix.Dup3(3, number, unix.O_CLOEXEC) == nil && add(inner, number, unix.EPOLLIN|unix.EPOLLET)
		if number%2 == 0 {
			unix.Close(number) // the entry remains, because descriptor 3 refers to the same open file
		}
	}
	// Add the highest possible descriptor number, at most the default of fs.nr_open. On a host that allows 2^30, the table
	// of descriptors would take 8 GiB.
	var lim unix.Rlimit
	ok = ok && unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil
	most := min(lim.Max, 1<<20)
	highest := int(most) - 1
	ok = ok && unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: lim.Max}) == nil
	ok = ok && unix.Dup3(3, highest, unix.O_CLOEXEC) == nil && add(inner, highest, unix.EPOLLIN)
	if !ok {
		return 1
	}
	os.WriteFile(os.Getenv("READY"), nil, 0o644)
	forever()
	return 0
}

// reAdds is how often serveReAdd adds its listener to epoll again.
const reAdds = 5

// serveReAdd accepts one connection, and adds the listener to epoll again each time after the drain has removed the
// listener. When it has added the listener reAdds times, serveReAdd closes the connection.
func serveReAdd() int {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return 1
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: 3}
	if unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, 3, &event) != nil {
		return 1
	}
	events := make([]unix.EpollEvent, 1)
	for {
		if n, _ := unix.EpollWait(ep, events, -1); n == 1 {
			break
		}
	}
	conn, _, err := unix.Accept(3)
	if err != nil {
		return 1
	}
	for n := 0; n < reAdds; time.Sleep(time.Millisecond) {
		if unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, 3, &event) == nil {
			n++
		}
	}
	unix.Read(conn, make([]byte, 64))
	unix.Close(conn)
	forever()
	return 0
}

// The function notify acts as a notifier: it creates the file path.ready when it is ready, and the file path when it gets
// the signal.
func notify(path string) int {
	notified := make(chan os.Signal, 1)
	signal.Notify(notified, drain.NotifierSignal)
	os.WriteFile(path+".ready", nil, 0o644)
	<-notified
	os.WriteFile(path, nil, 0o644)
	forever()
	return 0
}

// The function run runs a drain with the Options in text (JSON), and prints the Result as JSON.
func run(text string) int {
	var opt drain.Options
	if err := json.Unmarshal([]byte(text), &opt); err != nil {
		return 1
	}
	r, err := drain.Run(context.Background(), opt)
	if err != nil {
		io.WriteString(os.Stderr, err.Error()+"\n")
		return 1
	}
	json.NewEncoder(os.Stdout).Encode(r)
	return 0
}

// waitForChild waits in state D for the end of a child that CLONE_VFORK has started. The child never ends.
func waitForChild() {
	runtime.LockOSThread()
	// Without CLONE_VM the child has separate memory, so it cannot damage the memory of this process.
	if pid, _, _ := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_VFORK|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0); pid == 0 {
		for {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
}

// The function forever sleeps without end. "select {}" is not possible, because the Go runtime would report a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
