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

// clients is a program that opens connections, prints how many of them each worker has answered, and keeps them open until
// its stdin is closed. Silent connections send no request and get no answer.
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

// connect runs clients until the test ends, and returns the number of connections of each worker.
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
		t.Fatalf("the clients: %v", err)
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

// TestConnectionsOfEachWorker opens connections that known workers answer, then connections that no worker accepts.
func TestConnectionsOfEachWorker(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "conns", 3, 8313, "--listen", "local=/run/conns.sock", "--", worker)
		counts := connect(t, m, `[["AF_INET", ["127.0.0.1", 8313], 6, true],
			["AF_INET6", ["::1", 8313], 3, true], ["AF_UNIX", "/run/conns.sock", 2, true]]`)
		l := listApps(t, m, "conns")[0]
		if l.Connections == nil || *l.Connections != 11 || l.Queue == nil || l.Queue.Depth != 0 {
			t.Errorf("ls with 11 connections: %+v", l)
		}
		most := 0
		for _, in := range l.Instances {
			most = max(most, counts[in.PID])
			if in.Connections == nil || *in.Connections != counts[in.PID] {
				t.Errorf("%s has %v connections, but it has answered %d", in.Unit, in.Connections, counts[in.PID])
			}
		}
		s := parseApp(t, m.Must(t, "show", "conns", "--json").Stdout)
		if s.Balance == nil || s.Balance.Max != most || s.Balance.MaxMean < 1 {
			t.Errorf("balance: %+v, want the maximum %d", s.Balance, most)
		}

		for _, pid := range a.PIDs(t) {
			m.Sh(t, "kill -STOP "+strconv.Itoa(pid))
		}
		t.Cleanup(func() { m.Sh(t, "systemctl kill -s CONT 'conns@*.service'") })
		connect(t, m, `[["AF_INET",["127.0.0.1",8313],5,false],["AF_UNIX","/run/conns.sock",4,false]]`)
		l = listApps(t, m, "conns")[0]
		if l.Queue == nil || l.Queue.Depth != 9 || *l.Connections != 11 || l.State != "running" {
			t.Errorf("nine connections wait, but the queue is %+v: %+v", l.Queue, l)
		}
		s = parseApp(t, m.Must(t, "show", "conns", "--json").Stdout)
		if len(s.Listeners) != 2 || s.Listeners[0].Queue.Depth != 5 || s.Listeners[1].Queue.Depth != 4 ||
			s.Listeners[1].Unit != "conns-local.socket" {
			t.Errorf("five and four connections wait, but show has %+v", s.Listeners)
		}
		if l := parseApps(t, m.MustAsNobody(t, "ls", "conns", "--json").Stdout)[0]; l.Queue == nil || l.Queue.Depth != 9 ||
			*l.Connections != 11 {
			t.Errorf("as nobody: %+v", l)
		}
		t.Log(m.Must(t, "ls", "-a").Stdout, m.Must(t, "show", "conns").Stdout)
	})
}

// TestMemoryIncludesChildren: the memory of an instance includes the memory of its child processes.
func TestMemoryIncludesChildren(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		m.WriteFile(t, "/opt/e2e/parent",
			"#!/bin/sh\npython3 -c 'import time; x = bytearray(64 << 20); print(\"the child has it\", flush=True); "+
				"time.sleep(600)' &\nexec sleep 600\n", 0o755)
		kit.InstallNative(t, m, "parent", 1, 8314, "--ready", "exec", "--", "/opt/e2e/parent")
		m.AwaitJournal(t, "the child has it", "-u", "parent@1.service")
		if l := listApps(t, m, "parent")[0]; l.Memory == nil || *l.Memory < 64<<20 || l.MemorySource == "rss" {
			t.Errorf("a child with 64 MB: %+v", l)
		}
		// A user without root can count the processes, too.
		if l := parseApps(t, m.MustAsNobody(t, "ls", "parent", "--json").Stdout)[0]; l.Memory == nil || *l.Memory < 64<<20 {
			t.Errorf("as nobody: %+v", l)
		}
	})
}
