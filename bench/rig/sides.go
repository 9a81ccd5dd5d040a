package rig

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// App is a program as every side is told to run it.
type App struct {
	Name    string // small letters and digits
	Script  string // in Dir
	Workers int
	Port    int
	Env     []string
	// Flags are more of them for clusterctl install.
	Flags []string
}

// On is the app on another port.
func (a App) On(port int) App {
	a.Port = port
	return a
}

func (a App) env(more ...string) []string {
	return slices.Concat([]string{"PORT=" + strconv.Itoa(a.Port)}, a.Env, more)
}

func (a App) script() string { return Dir + "/" + a.Script }

// InstallCommand is how clusterctl is told to run an app.
func (a App) InstallCommand() []string {
	argv := []string{"clusterctl", "install", a.script(), "--name", a.Name, "-i", strconv.Itoa(a.Workers), "--cwd", Dir}
	if !slices.Contains(a.Flags, "--listen") {
		argv = append(argv, "--listen", strconv.Itoa(a.Port))
	}
	for _, kv := range a.env() {
		argv = append(argv, "--env", kv)
	}
	return append(argv, a.Flags...)
}

// OurCgroup selects the processes of an app of ours.
func OurCgroup(app string) string { return "cgroup:/clusterctl-" + app + ".slice" }

// Ours runs an app under clusterctl.
func (r *Rig) Ours(ctx context.Context, a App) error {
	if _, err := r.Run(ctx, append(a.InstallCommand(), "--settle", "100ms")...); err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// PM2 runs an app under PM2, in its cluster mode, which -i asks for.
func (r *Rig) PM2(ctx context.Context, a App) error {
	if _, err := r.Run(ctx, a.PM2Command()...); err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// PM2Command is how PM2 is told to run an app. It takes its environment from the shell.
func (a App) PM2Command() []string {
	argv := append([]string{"env"}, PM2Env()...)
	argv = append(argv, a.env()...)
	return append(argv, "pm2", "start", a.script(), "--name", a.Name, "-i", strconv.Itoa(a.Workers))
}

// PM2Env keeps PM2 from asking for newer versions of itself, in a machine without a network.
func PM2Env() []string { return []string{"PM2_DISABLE_VERSION_CHECK=1"} }

// PM2Do is a command of PM2.
func PM2Do(args ...string) []string {
	return append(append([]string{"env"}, PM2Env()...), append([]string{"pm2"}, args...)...)
}

// held runs a command as a transient unit, in a cgroup of its own, so that it can be found and ended.
func (r *Rig) held(ctx context.Context, name string, env []string, argv ...string) error {
	run := []string{"systemd-run", "--quiet", "--collect", "--unit=" + HeldUnit(name), "--service-type=exec"}
	for _, kv := range env {
		run = append(run, "--setenv="+kv)
	}
	_, err := r.Run(ctx, slices.Concat(run, []string{"--"}, argv)...)
	return err
}

// HeldUnit is the unit of what runs without a supervisor.
func HeldUnit(name string) string { return "bench-" + name + ".service" }

// Drop ends what was started by Cluster, ReusePort or Nginx.
func (r *Rig) Drop(ctx context.Context, name string) error {
	_, err := r.Run(ctx, "systemctl", "stop", HeldUnit(name))
	return err
}

// Cluster runs an app under Node's own cluster module.
func (r *Rig) Cluster(ctx context.Context, a App) error {
	env := a.env("WORKERS="+strconv.Itoa(a.Workers), "PROGRAM="+a.script())
	if err := r.held(ctx, a.Name, env, "/usr/bin/node", Dir+"/cluster.js"); err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// ReusePort runs the workers by themselves, each with a listener of its own on the one port: the limit of what any
// supervisor could reach.
func (r *Rig) ReusePort(ctx context.Context, a App) error {
	err := r.held(ctx, a.Name, a.env("NATIVE=1"), inside, "reuseport", "-port", strconv.Itoa(a.Port),
		"-n", strconv.Itoa(a.Workers), "--", "/usr/bin/node", a.script())
	if err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// Nginx runs the workers by themselves, each on a port of its own from base on, and nginx in front of them on the app's
// port, at its best: connections to the workers are kept, the one with the fewest gets the next, nothing is logged.
func (r *Rig) Nginx(ctx context.Context, a App, base int) error {
	var servers strings.Builder
	for i := range a.Workers {
		worker := a.On(base + i)
		if err := r.held(ctx, fmt.Sprintf("%s-%d", a.Name, i+1), worker.env(), "/usr/bin/node", a.script()); err != nil {
			return err
		}
		if err := r.Await(ctx, worker.Port); err != nil {
			return err
		}
		fmt.Fprintf(&servers, "    server 127.0.0.1:%d;\n", worker.Port)
	}
	conf := fmt.Sprintf(nginxConf, servers.String(), a.Port, a.Port)
	if _, err := r.Run(ctx, "sh", "-c", `printf %s "$1" > /run/bench-nginx.conf`, "sh", conf); err != nil {
		return err
	}
	if err := r.held(ctx, a.Name, nil, "/usr/sbin/nginx", "-c", "/run/bench-nginx.conf"); err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

const nginxConf = `daemon off;
worker_processes auto;
error_log stderr;
pid /run/bench-nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  upstream workers {
    least_conn;
%s    keepalive 64;
  }
  server {
    listen %d;
    listen [::]:%d;
    location / {
      proxy_pass http://workers;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`
