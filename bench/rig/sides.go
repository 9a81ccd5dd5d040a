package rig

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// App is a program with the settings that all sides get.
type App struct {
	Name    string // lower case letters and digits
	Script  string // file name in Dir
	Workers int
	Port    int
	Env     []string
	// Flags are additional flags of clusterctl install.
	Flags []string
}

// The method On returns a copy of the app with another port.
func (a App) On(port int) App {
	a.Port = port
	return a
}

func (a App) env(more ...string) []string {
	return slices.Concat([]string{"PORT=" + strconv.Itoa(a.Port)}, a.Env, more)
}

func (a App) script() string { return Dir + "/" + a.Script }

// InstallCommand returns the command that installs the app with clusterctl.
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

// OurCgroup returns the selector for the processes of an app under clusterctl.
func OurCgroup(app string) string { return "cgroup:/clusterctl-" + app + ".slice" }

// The method Ours runs an app under clusterctl.
func (r *Rig) Ours(ctx context.Context, a App) error {
	if _, err := r.Run(ctx, append(a.InstallCommand(), "--settle", "100ms")...); err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// The method PM2 runs an app in PM2's cluster mode, which the flag -i selects.
func (r *Rig) PM2(ctx context.Context, a App) error {
	if _, err := r.Run(ctx, a.PM2Command()...); err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// PM2Command returns the command that starts the app with PM2. PM2 passes the environment of this command to the
// app.
func (a App) PM2Command() []string {
	argv := append([]string{"env"}, PM2Env()...)
	argv = append(argv, a.env()...)
	return append(argv, "pm2", "start", a.script(), "--name", a.Name, "-i", strconv.Itoa(a.Workers))
}

// PM2Env returns a variable that disables PM2's check for newer versions, because the machine has no network.
func PM2Env() []string { return []string{"PM2_DISABLE_VERSION_CHECK=1"} }

// PM2Do returns a command that runs pm2 with the arguments.
func PM2Do(args ...string) []string {
	return append(append([]string{"env"}, PM2Env()...), append([]string{"pm2"}, args...)...)
}

// runUnit runs a command as a transient unit in its own cgroup, so that other functions can find and stop the
// command.
func (r *Rig) runUnit(ctx context.Context, name string, env []string, argv ...string) error {
	run := []string{"systemd-run", "--quiet", "--collect", "--unit=" + HeldUnit(name), "--service-type=exec"}
	for _, kv := range env {
		run = append(run, "--setenv="+kv)
	}
	_, err := r.Run(ctx, slices.Concat(run, []string{"--"}, argv)...)
	return err
}

// HeldUnit returns the unit name of a program without a supervisor.
func HeldUnit(name string) string { return "bench-" + name + ".service" }

// The method Drop stops a program that Cluster, ReusePort, Nginx or BareServer has started.
func (r *Rig) Drop(ctx context.Context, name string) error {
	_, err := r.Run(ctx, "systemctl", "stop", HeldUnit(name))
	return err
}

// Cluster runs an app in Node's cluster module.
func (r *Rig) Cluster(ctx context.Context, a App) error {
	env := a.env("WORKERS="+strconv.Itoa(a.Workers), "PROGRAM="+a.script())
	if err := r.runUnit(ctx, a.Name, env, "/usr/bin/node", Dir+"/cluster.js"); err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// ReusePort runs the workers without a supervisor, each with its own listener on the same port. Workers with a supervisor
// cannot be faster.
func (r *Rig) ReusePort(ctx context.Context, a App) error {
	err := r.runUnit(ctx, a.Name, a.env("NATIVE=1"), inside, "reuseport", "-port", strconv.Itoa(a.Port),
		"-n", strconv.Itoa(a.Workers), "--", "/usr/bin/node", a.script())
	if err != nil {
		return err
	}
	return r.Await(ctx, a.Port)
}

// Nginx runs the workers without a supervisor, each on its own port, from base upwards. In front of the workers,
// nginx listens on the app's port, in its best configuration: it keeps connections to the workers, gives the next
// connection to the worker with the fewest connections, and does not log.
func (r *Rig) Nginx(ctx context.Context, a App, base int) error {
	var servers strings.Builder
	for i := range a.Workers {
		worker := a.On(base + i)
		if err := r.runUnit(ctx, fmt.Sprintf("%s-%d", a.Name, i+1), worker.env(), "/usr/bin/node", a.script()); err != nil {
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
	if err := r.runUnit(ctx, a.Name, nil, "/usr/sbin/nginx", "-c", "/run/bench-nginx.conf"); err != nil {
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
