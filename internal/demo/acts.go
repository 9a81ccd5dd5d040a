package main

import "github.com/clusterctl/clusterctl/internal/lab/load"

const helloURL = "http://127.0.0.1:8080/"

// clients send one request after the other: the killing of a worker may lose one request of each of them.
const clients = 8

func (s *stage) installHello() {
	s.say("a Go worker, three instances on one port")
	s.install("hello", "3 instances of a Go worker", "clusterctl install hello --instances 3 --listen 8080 -- /opt/hello/go-worker")
	s.sh("for i in 1 2 3; do curl -s http://127.0.0.1:8080/; done")
	s.sh("clusterctl ls")
	s.sh("systemctl --no-pager --no-legend list-units 'hello*'")
}

// settled waits, by systemctl's own waiting, until every instance is active again.
const settled = "systemctl start hello@1 hello@2 hello@3; clusterctl ls"

func (s *stage) crashOne() {
	s.say("kill -9 of one worker under load: the requests that it holds are lost, no other")
	s.under("kill -9 of one of three workers", load.Options{URL: helloURL}, 1, func() {
		s.sh("systemctl kill -s KILL hello@2")
		s.sh(settled)
	})
}

func (s *stage) crashAll() {
	s.say("kill -9 of all workers, one after the other: the port stays open, requests wait in the socket")
	s.under("kill -9 of all three workers", load.Options{URL: helloURL}, 3, func() {
		s.sh("systemctl kill -s KILL hello@1 hello@2 hello@3")
		s.sh(settled)
	})
}

func (s *stage) rollingReload() {
	s.say("a rolling reload and other numbers of instances, with keep-alive and clients that never retry: nothing is lost")
	s.under("reload, scale to 4, scale to 3", load.Options{URL: helloURL, KeepAlive: true}, 0, func() {
		s.sh("clusterctl reload hello")
		s.sh("clusterctl scale hello +1")
		s.sh("clusterctl scale hello 3")
	})
}

func (s *stage) brokenRelease() {
	s.say("a release that does not start: the first instance fails, everything is put back, and nobody notices")
	s.under("a release that does not start", load.Options{URL: helloURL}, 0, func() {
		s.sh("clusterctl install hello --instances 3 --listen 8080 -- /opt/hello/go-worker --no-such-flag; echo exit status $?")
	})
	s.sh("clusterctl ls -a hello")
}

func (s *stage) unmodified() {
	s.say("an ordinary Node server that listens on 8080 by itself: unmodified, two instances, in public on port 3000")
	s.install("web", "2 instances of an unmodified Node server",
		"clusterctl install /opt/web/server.js --name web --instances 2 --listen 3000:8080")
	s.sh("curl -s http://127.0.0.1:3000/")
	s.under("systemctl reload of the Node server", load.Options{URL: "http://127.0.0.1:3000/"}, 0, func() { s.sh("systemctl reload web") })
}

func (s *stage) others() {
	s.say("a Node server that takes the inherited listener, and a Python worker without a socket")
	s.install("node", "2 instances of a Node server that takes the inherited listener",
		"clusterctl install /opt/node-fd/server.js --name node --activation native --instances 2 --listen 127.0.0.1:3001")
	s.sh("curl -s http://127.0.0.1:3001/")
	s.install("ticker", "1 instance of a Python worker without a port",
		"clusterctl install ticker --no-listen --settle 1s --instances 1 -- python3 /opt/ticker/worker.py")
	s.sh("clusterctl ls")
	s.sh("clusterctl logs hello --no-follow -n 8 --timestamp")
}

func (s *stage) cleanUp() {
	s.say("undo: no file, no unit, no failed state is left")
	for _, app := range s.apps {
		s.sh("clusterctl uninstall " + app.name + " --yes")
	}
	s.sh("find /etc/systemd/system /etc/clusterctl /var/lib/clusterctl -name '*hello*' -o -name '*ticker*' 2>/dev/null; " +
		"systemctl --no-pager list-units --all 'hello*' 'web*' 'node*' 'ticker*'")
}
