package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTwoInstances: two instances of an unmodified program serve on one listener.
func TestTwoInstances(t *testing.T) {
	for _, c := range []struct {
		name, network, address string
		blocking               bool // whether the listener is blocking
		flags                  []string
		argv                   func(t *testing.T, port string) []string
	}{
		{name: "node", network: "tcp6", address: "[::]:0",
			argv: func(t *testing.T, p string) []string { return []string{node(t), data(t, "server.js"), p} }},
		{name: "node on one address", network: "tcp4", address: "127.0.0.1:0",
			argv: func(t *testing.T, p string) []string { return []string{node(t), data(t, "server.js"), p, "0.0.0.0"} }},
		{name: "node on :: with an IPv4 listener", network: "tcp4", address: "127.0.0.1:0", flags: []string{"--map", "0=tcp:5999"},
			argv: func(t *testing.T, p string) []string { return []string{node(t), data(t, "server.js"), "5999"} }},
		{name: "node cluster", network: "tcp6", address: "[::]:0",
			argv: func(t *testing.T, p string) []string { return []string{node(t), data(t, "cluster.js"), p} }},
		{name: "static Go server", network: "tcp6", address: "[::]:0",
			argv: func(t *testing.T, p string) []string { return []string{filepath.Join(testdata, "goserver"), ":" + p} }},
		{name: "python http.server", network: "tcp4", address: "0.0.0.0:0", blocking: true,
			argv: func(t *testing.T, p string) []string { return []string{python(t), "-m", "http.server", p} }},
		{name: "python http.server, non-blocking", network: "tcp4", address: "0.0.0.0:0",
			argv: func(t *testing.T, p string) []string { return []string{python(t), "-m", "http.server", p} }},
		{name: "python, with a bind in each child", network: "tcp4", address: "0.0.0.0:0",
			argv: func(t *testing.T, p string) []string { return []string{python(t), data(t, "prefork.py"), p} }},
		{name: "blocking C server", network: "tcp4", address: "0.0.0.0:0", blocking: true,
			argv: func(t *testing.T, p string) []string { return []string{filepath.Join(testdata, "cserver"), p} }},
		{name: "blocking C server with --accept hold", network: "tcp4", address: "0.0.0.0:0", blocking: true,
			flags: []string{"--accept", "hold"},
			argv:  func(t *testing.T, p string) []string { return []string{filepath.Join(testdata, "cserver"), p} }},
		{name: "another port", network: "tcp4", address: "127.0.0.1:0", flags: []string{"--map", "0=tcp4:5998"},
			argv: func(t *testing.T, p string) []string { return []string{filepath.Join(testdata, "cserver"), "5998"} }, blocking: true},
		{name: "node on a TCP port, with a Unix socket as the listener", network: "unix", flags: []string{"--map", "0=tcp:5997"},
			argv: func(t *testing.T, p string) []string { return []string{node(t), data(t, "server.js"), "5997"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, p := c.address, ""
			if c.network == "unix" {
				address = filepath.Join(t.TempDir(), "app.sock")
			}
			l, address := listen(t, c.network, address, !c.blocking)
			if c.network != "unix" {
				p = port(address)
				address = strings.Replace(address, "0.0.0.0", "127.0.0.1", 1)
				address = strings.Replace(address, "[::]", "[::1]", 1)
			}
			args := append([]string{"--adopt"}, c.flags...)
			args = append(append(args, "--"), c.argv(t, p)...)
			a := startWorker(t, []*os.File{l}, args...)
			b := startWorker(t, []*os.File{l}, args...)
			a.waitReady(t)
			b.waitReady(t)
			for range 20 {
				if body := fetch(t, c.network, address); body == "" {
					t.Error("got an empty response, want a body")
				}
			}
			// After the end of the first instance, the second instance still serves.
			a.stop(t)
			fetch(t, c.network, address)
			b.stop(t)
		})
	}
}
