package main

import "github.com/clusterctl/clusterctl/internal/lab/load"

const helloURL = "http://127.0.0.1:8080/"

// clients send one request after the other. That many requests, at most, are in a worker at the moment when it is killed.
const clients = 8

func (s *stage) installHello() {
	s.say("a Go worker, three instances on one port")
	s.sh("clusterctl install hello --instances 3 --listen 8080 -- /opt/hello/go-worker")
	s.sh("for i in 1 2 3; do curl -s http://127.0.0.1:8080/; done")
	s.sh("clusterctl ls")
	s.sh("systemctl --no-pager list-units 'hello*'")
}

// settled waits, by systemctl's own waiting, until every instance is active again.
const settled = "systemctl start hello@1 hello@2 hello@3; clusterctl ls"

func (s *stage) crashOne() {
	s.say("kill -9 of one worker under load: the requests that it holds are lost, no other")
	s.under(load.Options{URL: helloURL, Conns: clients}, clients, func() {
		s.sh("systemctl kill -s KILL hello@2")
		s.sh(settled)
	})
}

func (s *stage) crashAll() {
	s.say("kill -9 of all workers at once: the port stays open, requests wait in the socket")
	s.under(load.Options{URL: helloURL, Conns: clients}, clients, func() {
		s.sh("systemctl kill -s KILL hello@1 hello@2 hello@3")
		s.sh(settled)
	})
}

func (s *stage) rollingReload() {
	s.say("a rolling reload and other numbers of instances under load, with keep-alive and a client that never retries: nothing is lost")
	s.under(load.Options{URL: helloURL, Conns: clients, KeepAlive: true}, 0, func() {
		s.sh("clusterctl reload hello")
		s.sh("clusterctl scale hello +1")
		s.sh("clusterctl scale hello 3")
	})
}

func (s *stage) brokenRelease() {
	s.say("a release that does not start: the first instance fails, everything is put back, and nobody notices")
	s.under(load.Options{URL: helloURL, Conns: clients}, 0, func() {
		s.sh("clusterctl install hello --instances 3 --listen 8080 --no-probe -- /bin/false; echo exit status $?")
	})
	s.sh("clusterctl ls -a hello")
}

func (s *stage) unmodified() {
	s.say("an ordinary Node server that listens on 8080 by itself: unmodified, two instances, in public on port 3000")
	s.sh("clusterctl install /opt/web/server.js --name web --instances 2 --listen 3000:8080")
	s.sh("curl -s http://127.0.0.1:3000/")
	s.under(load.Options{URL: "http://127.0.0.1:3000/", Conns: clients}, 0, func() { s.sh("systemctl reload web") })
}

func (s *stage) others() {
	s.say("a Node server that takes the inherited listener, and a Python worker without a socket")
	s.sh("clusterctl install /opt/node-fd/server.js --name node --activation native --instances 2 --listen 127.0.0.1:3001")
	s.sh("curl -s http://127.0.0.1:3001/")
	s.sh("clusterctl install ticker --no-listen --instances 1 -- python3 /opt/ticker/worker.py")
	s.sh("clusterctl ls")
	s.sh("clusterctl logs hello --no-follow -n 8 --timestamp")
}

func (s *stage) cleanUp() {
	s.say("undo: no file, no unit, no failed state is left")
	for _, app := range []string{"hello", "web", "node", "ticker"} {
		s.sh("clusterctl uninstall " + app + " --yes")
	}
	s.sh("find /etc/systemd/system /etc/clusterctl /var/lib/clusterctl -name '*hello*' -o -name '*ticker*'; systemctl --no-pager list-units --all 'hello*' 'web*' 'node*' 'ticker*'")
}
