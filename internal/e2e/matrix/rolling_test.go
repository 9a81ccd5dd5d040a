//go:build lab

package matrix

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// rate is the number of requests per second for one program. Tests that run several programs at the same time use a lower
// rate for each program. The rate is high enough that a request is always in progress, and low enough to leave CPU time
// for the restarts.
const rate = 500

// TestRollingRestarts restarts the workers of six servers one after another, a hundred times per server. Clients send
// requests on new connections and on keep-alive connections, and do not repeat failed requests. No request may fail. The
// last two servers close each connection after one request, so they are tested only with new connections.
func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	m := suite().Shared(t, lab.Workers)
	m.Sh(t, "sed 's/8312/8403/; s/nginx.pid/nginx-rolling.pid/' "+srv+"/nginx.conf > "+srv+"/nginx-rolling.conf")
	type loadedProgram struct {
		program
		keepAlive []bool
	}
	runConcurrently(t, 6, []loadedProgram{
		{program{name: "r-node", port: 8401, args: portFlags(8401, "node.js")}, []bool{false, true}},
		{program{name: "r-go", port: 8402, args: portFlags(8402, "./httpd")}, []bool{false, true}},
		{program{name: "r-nginx", port: 8403, args: []string{"x", "--", "nginx", "-c", srv + "/nginx-rolling.conf"}}, []bool{false, true}},
		{program{name: "r-gunicorn", port: 8404, args: []string{"x", "--", "gunicorn", "-w", "2", "-b", "0.0.0.0:8404", "wsgi:app"}},
			[]bool{false, true}},
		{program{name: "r-c", port: 8405, args: portFlags(8405, "./server-c")}, []bool{false}},
		{program{name: "r-ruby", port: 8406, args: portFlags(8406, "server.rb")}, []bool{false}},
	}, func(t *testing.T, p loadedProgram) { rollingRestarts(t, m, p.program, 100, rate/8, p.keepAlive...) })
}

// rollingRestarts installs a program with two instances, and restarts the instances in turn under one load for each value
// of keepAlive.
func rollingRestarts(t *testing.T, m *kit.Machine, p program, restarts, rate int, keepAlive ...bool) {
	a := install(t, m, p.name, 2, p.port, p.args...)
	var loads []*load.Run
	for _, keep := range keepAlive {
		loads = append(loads, load.Start(t, m,
			load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate, KeepAlive: keep, WorkerHeader: bodies}))
	}
	begin := time.Now()
	restartInTurn(t, a, restarts)
	took := time.Since(begin)
	t.Logf("%d restarts took %v, %v each", restarts, took, took/time.Duration(restarts))
	for i, run := range loads {
		r := run.Stop()
		responsesByPID(t, r, hello)
		kit.WantNoneLost(t, fmt.Sprintf("restarts, keep-alive %v", keepAlive[i]), r)
	}
	wantAllAnswer(t, a, "/hello", hello)
}

// restartInTurn restarts the instances of an app one after another. The parameter times is the total number of restarts.
// All restarts run in one shell, because each m.Sh takes longer than a restart.
func restartInTurn(t testing.TB, a kit.App, times int) {
	t.Helper()
	a.Machine.Sh(t, fmt.Sprintf("for k in $(seq 0 %d); do systemctl restart %s@$((k %% %d + 1)); done", times-1, a.Name, a.Instances))
}

// slowPath is the path of a request whose response takes two seconds.
const slowPath = "/hello?ms=2000"

// TestSlowRequests restarts workers twenty times while each request takes two seconds. No request may fail.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	m := suite().Shared(t, lab.Workers)
	m.Sh(t, "sed 's/8312/8413/; s/nginx.pid/nginx-slow.pid/' "+srv+"/nginx.conf > "+srv+"/nginx-slow.conf")
	runConcurrently(t, 6, []program{
		{name: "s-node", port: 8411, args: portFlags(8411, "node.js")},
		{name: "s-go", port: 8412, args: portFlags(8412, "./httpd")},
		{name: "s-nginx", port: 8413, args: []string{"x", "--", "nginx", "-c", srv + "/nginx-slow.conf"}, path: "/slow"},
		{name: "s-gunicorn", port: 8414, args: []string{"x", "--", "gunicorn", "-w", "2", "-b", "0.0.0.0:8414", "wsgi:app"}},
		{name: "s-c", port: 8415, args: portFlags(8415, "./server-c")},
		{name: "s-ruby", port: 8416, args: portFlags(8416, "server.rb")},
	}, func(t *testing.T, p program) {
		path := slowPath
		if p.path != "" {
			path = p.path
		}
		a := install(t, m, p.name, 2, p.port, p.args...)
		run := load.Start(t, m, load.Options{URL: a.URL(path), Conns: 4, WorkerHeader: bodies})
		restartInTurn(t, a, 20)
		kit.WantNoneLost(t, "slow requests", run.Stop())
	})
}
