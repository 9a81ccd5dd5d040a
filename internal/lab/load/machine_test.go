package load_test

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

func TestMain(m *testing.M) { lab.Main(m) }

// TestMachine sends requests to a server in a machine, over TCP and over a Unix socket behind an absolute link (/var/run).
// The host has another network, so it must not reach the server.
func TestMachine(t *testing.T) {
	m := lab.Shared(t, lab.Bookworm)
	m.WriteFile(t, "/srv/load.js", `
const serve = (req, res) => { res.setHeader("X-Worker", "node"); res.end("x".repeat(100)); };
for (const fd of [3, 4]) require("http").createServer(serve).listen({ fd });
`, 0o644)
	// systemd creates the sockets before systemd-run returns.
	m.Sh(t, "systemd-run --unit=load-test --socket-property=ListenStream=127.0.0.1:8088 "+
		"--socket-property=ListenStream=/run/load.sock node /srv/load.js")
	t.Cleanup(func() { m.Try("systemctl stop load-test.socket load-test.service; rm -f /srv/load.js /run/load.sock") })
	for _, url := range []string{"http://127.0.0.1:8088/", "unix:/var/run/load.sock"} {
		for _, keepAlive := range []bool{false, true} {
			r := load.Start(t, m, load.Options{URL: url, Requests: 500, KeepAlive: keepAlive}).Wait()
			if r.OK != 500 || r.Workers["node"] != 500 {
				t.Errorf("%s, keep-alive %t: %v", url, keepAlive, r)
			}
		}
	}
	if r := load.Start(t, load.Host(), load.Options{URL: "http://127.0.0.1:8088/", Requests: 1}).Wait(); r.Refused != 1 {
		t.Errorf("the machine's port is open on the host: %v", r)
	}
}

// TestBadURL checks that Start fails for URLs that the client does not support.
func TestBadURL(t *testing.T) {
	for _, u := range []string{"", "https://127.0.0.1/", "http://example.com/", "http://127.0.0.1:0/",
		"http://127.0.0.1:70000/", "unix:run/x"} {
		rec := &recorder{TB: t}
		done := make(chan struct{})
		go func() { // Fatalf ends the goroutine
			defer close(done)
			load.Start(rec, load.Host(), load.Options{URL: u, Requests: 1})
		}()
		<-done
		if !strings.Contains(rec.fatal, "load: ") {
			t.Errorf("%q was accepted", u)
		}
	}
}
