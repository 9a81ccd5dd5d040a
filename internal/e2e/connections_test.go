//go:build lab

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// The constant clients is a Python program that opens connections. It sends a request on each connection whose field
// speak is true. The program prints the number of answered requests per worker, and keeps the connections open until its
// stdin is closed.
const clients = `
import json, socket, sys
held, by = [], {}
for family, address, n, speak in json.loads(sys.argv[1]):
    for _ in range(n):
        s = socket.socket(getattr(socket, family))
        s.connect(tuple(address) if isinstance(address, list) else address)
        held.append(s)
        if not speak:
            continue
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += s.recv(4096)
        pid = [l.split()[1].decode() for l in answer.split(b"\r\n") if l.startswith(b"X-Worker:")][0]
        by[pid] = by.get(pid, 0) + 1
print(json.dumps(by), flush=True)
sys.stdin.read()
`

// The function connect runs the Python program in the constant clients until the test ends. The parameter plan is a JSON
// list of [family, address, number of connections, speak]. The function returns a map from the PID of each worker to the
// number of requests that the worker has answered.
func connect(t *testing.T, m *kit.Machine, plan string) map[int]int {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := m.Command(ctx, "python3", "-c", clients, plan)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _, _ = io.Copy(io.Discard, out); _ = cmd.Wait(); cancel() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the client program printed no counts: %v", err)
	}
	var by map[string]int
	if err := json.Unmarshal([]byte(line), &by); err != nil {
		t.Fatal(err)
	}
	counts := map[int]int{}
	for pid, n := range by {
		p, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		counts[p] = n
	}
	return counts
}

// TestConnectionsOfEachWorker opens connections, and sends a request on each connection. For each worker, clusterctl ls
// and show must report one connection per answered request. Then the test stops the workers with SIGSTOP and opens more
// connections. clusterctl ls and show must report these connections in the queues of the sockets.
func TestConnectionsOfEachWorker(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "conns", 3, 8313, "--listen", "local=/run/conns.sock", "--", worker)
		counts := connect(t, m, `[["AF_INET", ["127.0.0.1", 8313], 6, true],
			["AF_INET6", ["::1", 8313], 3, true], ["AF_UNIX", "/run/conns.sock", 2, true]]`)
		l := listApps(t, m, "conns")[0]
		if l.Connections == nil || *l.Connections != 11 || l.Queue == nil || l.Queue.Depth != 0 {
			t.Errorf("clusterctl ls: want 11 connections and an empty queue: %+v", l)
		}
		most := 0
		for _, in := range l.Instances {
			most = max(most, counts[in.PID])
			if in.Connections == nil || *in.Connections != counts[in.PID] {
				t.Errorf("clusterctl ls shows %v connections of %s, want %d", in.Connections, in.Unit, counts[in.PID])
			}
		}
		s := parseApp(t, m.Must(t, "show", "conns", "--json").Stdout)
		if s.Balance == nil || s.Balance.Max != most || s.Balance.MaxMean < 1 {
			t.Errorf("clusterctl show: got the balance %+v, want the maximum %d and a maxMean of at least 1", s.Balance, most)
		}

		for _, pid := range a.PIDs(t) {
			m.Sh(t, "kill -STOP "+strconv.Itoa(pid))
		}
		t.Cleanup(func() { m.Sh(t, "systemctl kill -s CONT 'conns@*.service'") })
		connect(t, m, `[["AF_INET",["127.0.0.1",8313],5,false],["AF_UNIX","/run/conns.sock",4,false]]`)
		l = listApps(t, m, "conns")[0]
		if l.Queue == nil || l.Queue.Depth != 9 || *l.Connections != 11 || l.State != "running" {
			t.Errorf("clusterctl ls: got the queue %+v, want 9 in the queue, 11 accepted connections and the state running: %+v",
				l.Queue, l)
		}
		s = parseApp(t, m.Must(t, "show", "conns", "--json").Stdout)
		if len(s.Listeners) != 2 || s.Listeners[0].Queue.Depth != 5 || s.Listeners[1].Queue.Depth != 4 ||
			s.Listeners[1].Unit != "conns-local.socket" {
			t.Errorf("clusterctl show: got the listeners %+v, want queues of 5 and 4 connections", s.Listeners)
		}
		if l := parseApps(t, m.MustAsNobody(t, "ls", "conns", "--json").Stdout)[0]; l.Queue == nil || l.Queue.Depth != 9 ||
			*l.Connections != 11 {
			t.Errorf("clusterctl ls as an unprivileged user: want 9 connections in the queue and 11 accepted connections: %+v", l)
		}
		t.Log(m.Must(t, "ls", "-a").Stdout, m.Must(t, "show", "conns").Stdout)
	})
}

// TestMemoryIncludesChildren checks that ls adds the memory of child processes to the memory of their instance.
func TestMemoryIncludesChildren(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/opt/e2e/parent",
			"#!/bin/sh\npython3 -c 'import time; x = bytearray(64 << 20); print(\"the child has it\", flush=True); "+
				"time.sleep(600)' &\nexec sleep 600\n", 0o755)
		kit.InstallNative(t, m, "parent", 1, 8314, "--ready", "exec", "--", "/opt/e2e/parent")
		m.AwaitJournal(t, "the child has it", "-u", "parent@1.service")
		if l := listApps(t, m, "parent")[0]; l.Memory == nil || *l.Memory < 64<<20 || l.MemorySource == "rss" {
			t.Errorf("clusterctl ls: want at least the 64 MiB of the child, and a source other than rss: %+v", l)
		}
		// clusterctl ls must print the sum also for an unprivileged user.
		if l := parseApps(t, m.MustAsNobody(t, "ls", "parent", "--json").Stdout)[0]; l.Memory == nil || *l.Memory < 64<<20 {
			t.Errorf("clusterctl ls as an unprivileged user: want at least the 64 MiB of the child: %+v", l)
		}
	})
}
