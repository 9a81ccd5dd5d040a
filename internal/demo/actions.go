package main

import "github.com/clusterctl/clusterctl/internal/lab/load"

const helloURL = "http://127.0.0.1:8080/"

// clients is the number of clients. Each client sends one request at a time, so a killed worker may break one request of
// each client.
const clients = 8

func (d *demo) installHello() {
	d.heading("a Go worker, three instances on one port")
	d.install("hello", "3 instances of a Go worker", "clusterctl install hello --instances 3 --listen 8080 -- /opt/hello/go-worker")
	d.sh("for i in 1 2 3; do curl -s http://127.0.0.1:8080/; done")
	d.sh("clusterctl ls")
	d.sh("systemctl --no-pager --no-legend list-units 'hello*'")
}

// waitUntilActive is a script that waits until all instances are active: systemctl start waits for start jobs that are
// already queued.
const waitUntilActive = "systemctl start hello@1 hello@2 hello@3; clusterctl ls"

func (d *demo) crashOne() {
	d.heading("kill -9 of one worker under load: only its open requests are lost")
	d.underLoad("kill -9 of one of three workers", load.Options{URL: helloURL}, 1, func() {
		d.sh("systemctl kill -s KILL hello@2")
		d.sh(waitUntilActive)
	})
}

func (d *demo) crashAll() {
	d.heading("kill -9 of all workers: the port stays open, and requests wait in the socket")
	d.underLoad("kill -9 of all three workers", load.Options{URL: helloURL}, 3, func() {
		d.sh("systemctl kill -s KILL hello@1 hello@2 hello@3")
		d.sh(waitUntilActive)
	})
}

func (d *demo) rollingReload() {
	d.heading("a rolling reload and scaling, with keep-alive and clients that never retry: no request is lost")
	d.underLoad("reload, scale to 4, scale to 3", load.Options{URL: helloURL, KeepAlive: true}, 0, func() {
		d.sh("clusterctl reload hello")
		d.sh("clusterctl scale hello +1")
		d.sh("clusterctl scale hello 3")
	})
}

func (d *demo) brokenRelease() {
	d.heading("a release that does not start: the first instance fails, the app is rolled back, and no client gets an error")
	d.underLoad("a release that does not start", load.Options{URL: helloURL}, 0, func() {
		d.sh("clusterctl install hello --instances 3 --listen 8080 -- /opt/hello/go-worker --no-such-flag; echo exit status $?")
	})
	d.sh("clusterctl ls -a hello")
}

func (d *demo) showUnmodified() {
	d.heading("an unmodified Node server that listens on port 8080: two instances, on the public port 3000")
	d.install("web", "2 instances of an unmodified Node server",
		"clusterctl install /opt/web/server.js --name web --instances 2 --listen 3000:8080")
	d.sh("curl -s http://127.0.0.1:3000/")
	d.underLoad("systemctl reload of the Node server", load.Options{URL: "http://127.0.0.1:3000/"}, 0,
		func() { d.sh("systemctl reload web") })
}

func (d *demo) otherWorkers() {
	d.heading("a Node server that uses the inherited listener, and a Python worker without a socket")
	d.install("node", "2 instances of a Node server that uses the inherited listener",
		"clusterctl install /opt/node-fd/server.js --name node --activation native --instances 2 --listen 127.0.0.1:3001")
	d.sh("curl -s http://127.0.0.1:3001/")
	d.install("ticker", "1 instance of a Python worker without a port",
		"clusterctl install ticker --no-listen --settle 1s --instances 1 -- python3 /opt/ticker/worker.py")
	d.sh("clusterctl ls")
	d.sh("clusterctl logs hello --no-follow -n 8 --timestamp")
}

func (d *demo) cleanUp() {
	d.heading("uninstall all apps: no files, units or failed states remain")
	for _, app := range d.apps {
		d.sh("clusterctl uninstall " + app.name + " --yes")
	}
	d.sh("find /etc/systemd/system /etc/clusterctl /var/lib/clusterctl -name '*hello*' -o -name '*ticker*' 2>/dev/null; " +
		"systemctl --no-pager list-units --all 'hello*' 'web*' 'node*' 'ticker*'")
}
