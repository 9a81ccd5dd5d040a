package rig

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Server is a program with its port in its arguments.
type Server struct {
	Name string // lower case letters
	argv func(port string) []string
}

// App returns the name of the app. The name has a prefix because nginx.service is a unit of Debian.
func (s Server) App() string { return "kept-" + s.Name }

// Servers returns programs in their usual configuration, each with one process.
func Servers() []Server {
	return []Server{
		{"gunicorn", func(port string) []string {
			return []string{"/usr/bin/gunicorn", "--chdir", Dir, "--threads", "4", "--keep-alive", "60",
				"--bind", "0.0.0.0:" + port, "hello:wsgi"}
		}},
		{"uvicorn", func(port string) []string {
			return []string{"/usr/bin/uvicorn", "--app-dir", Dir, "--no-access-log", "--host", "0.0.0.0", "--port", port, "hello:asgi"}
		}},
		{"node", func(port string) []string {
			return []string{"/usr/bin/env", "PORT=" + port, "/usr/bin/node", Dir + "/hello.js"}
		}},
		{"go", func(port string) []string { return []string{inside, "hello", "-port", port} }},
		{"nginx", func(port string) []string {
			var temp strings.Builder
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				fmt.Fprintf(&temp, "%s_temp_path /tmp/bench-%s-%s; ", kind, port, kind)
			}
			conf := fmt.Sprintf("daemon off; error_log stderr; pid /tmp/bench-%s.pid; events { worker_connections 1024; } "+
				"http { access_log off; keepalive_requests 1000000000; %sserver { listen %s; "+
				"location / { return 200 \"hello\\n\"; } } }", port, temp.String(), port)
			return []string{"/bin/sh", "-c", `printf %s "$1" > "$2" && exec /usr/sbin/nginx -c "$2"`, "sh", conf,
				"/tmp/bench-" + port + ".conf"}
		}},
	}
}

// OursServer runs a server under clusterctl, with additional flags.
func (r *Rig) OursServer(ctx context.Context, s Server, port int, flags ...string) error {
	p := strconv.Itoa(port)
	argv := slices.Concat([]string{"clusterctl", "install", s.App(), "-i", "1", "--listen", "0.0.0.0:" + p, "--settle", "100ms"},
		flags, []string{"--"}, s.argv(p))
	if _, err := r.Run(ctx, argv...); err != nil {
		return err
	}
	return r.Await(ctx, port)
}

// BareServer runs a server without clusterctl.
func (r *Rig) BareServer(ctx context.Context, s Server, port int) error {
	if err := r.runUnit(ctx, s.App(), nil, s.argv(strconv.Itoa(port))...); err != nil {
		return err
	}
	return r.Await(ctx, port)
}
