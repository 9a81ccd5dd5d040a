//go:build lab

package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// unixCase describes a program that listens on a Unix socket, with nginx as a reverse proxy.
type unixCase struct {
	name    string
	path    string // the path of the Unix socket
	pkg     string // the Debian package of the program
	port    int    // the port of nginx
	listen  bool   // --listen has the path; if false, the probe must find the path
	fastCGI bool   // the program uses FastCGI and not HTTP
	command []string
}

func (c unixCase) String() string { return c.name }

// unixCases returns four cases for each program. The path is in the directory of the app or in /run. Either --listen
// contains the path, or the probe finds it. Before a program binds, it removes the socket file or connects to the
// socket. After the bind, the program changes the owner and mode of the socket file.
func unixCases() (all []unixCase) {
	programs := []struct {
		name    string
		pkg     string
		fastCGI bool
		command func(dir, path string) []string
	}{
		{"gunicorn", "gunicorn", false, func(_, path string) []string {
			return []string{"gunicorn", "-w", "2", "--bind", "unix:" + path, "wsgi:app"}
		}},
		{"uvicorn", "uvicorn", false, func(_, path string) []string { return []string{"uvicorn", "--uds", path, "asgi:app"} }},
		{"puma", "puma", false, func(_, path string) []string { return []string{"puma", "-b", "unix://" + path, "config.ru"} }},
		{"fpm", "php8.2-fpm", true, func(dir, _ string) []string {
			return []string{"/usr/sbin/php-fpm8.2", "-F",
				"-y", dir + "/fpm.conf"}
		}},
	}
	for _, p := range programs {
		for _, place := range []string{"own", "run"} {
			for _, listen := range []bool{false, true} {
				name := fmt.Sprintf("u-%s-%s-%v", p.name, place, listen)
				dir := "/srv/" + name
				path := dir + "/app.sock"
				if place == "run" {
					path = "/run/" + name + "/app.sock"
				}
				all = append(all, unixCase{name, path, p.pkg, 8700 + len(all), listen, p.fastCGI, p.command(dir, path)})
			}
		}
	}
	return all
}

// TestUnixPrograms runs one case for each program. "make programs" runs all sixteen cases.
func TestUnixPrograms(t *testing.T) {
	all := unixCases()
	testUnixPrograms(t, []unixCase{all[0], all[5], all[10], all[15]}, func(unixCase, load.Report) {})
}

// testUnixPrograms runs the cases, with one nginx as the reverse proxy of all programs. testUnixPrograms calls done with
// the report of each case, and returns the machine.
func testUnixPrograms(t *testing.T, cases []unixCase, done func(unixCase, load.Report)) *kit.Machine {
	m := suite().Shared(t, lab.Workers)
	before := takeInventory(t, m)
	startNginx(t, m, cases)
	runConcurrently(t, 3, cases, func(t *testing.T, c unixCase) { done(c, c.run(t, m)) })
	m.Sh(t, "systemctl stop unix-nginx.service; rm /etc/unix-nginx.conf; rmdir /run/u-*; rmdir /run/systemd/transient || true")
	wantInventory(t, m, before)
	return m
}

// startNginx starts nginx with one server for each case. The workers of nginx run as www-data, as in Debian.
func startNginx(t *testing.T, m *kit.Machine, cases []unixCase) {
	t.Helper()
	var conf strings.Builder
	conf.WriteString("user www-data;\ndaemon off;\npid /run/unix-nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n")
	for _, c := range cases {
		pass := "proxy_pass http://unix:" + c.path + ":;"
		if c.fastCGI {
			pass = "fastcgi_pass unix:" + c.path + "; fastcgi_param SCRIPT_FILENAME " + srv +
				"/index.php; fastcgi_param REQUEST_METHOD GET; fastcgi_param REQUEST_URI $request_uri;"
		}
		fmt.Fprintf(&conf, "server { listen %d; location / { %s } }\n", c.port, pass)
	}
	conf.WriteString("}\n")
	m.WriteFile(t, "/etc/unix-nginx.conf", conf.String(), 0o644)
	m.Sh(t, "systemd-run -q --unit=unix-nginx nginx -e stderr -c /etc/unix-nginx.conf")
}

// The method run installs the program, and reloads it three times under load. The socket file must not change, and no
// request may fail.
func (c unixCase) run(t *testing.T, m *kit.Machine) load.Report {
	dir := "/srv/" + c.name
	m.Sh(t, "mkdir -p "+dir+" && cp "+srv+"/wsgi.py "+srv+"/asgi.py "+srv+"/unix/config.ru "+dir)
	t.Cleanup(func() { m.Sh(t, "rm -rf "+dir) })
	m.WriteFile(t, dir+"/fpm.conf", "[global]\nerror_log = /tmp/fpm.log\n[www]\nlisten = "+c.path+
		"\nlisten.owner = www-data\nlisten.group = www-data\npm = static\npm.max_children = 2\n", 0o644)
	m.Sh(t, "chown -R daemon: "+dir)
	flags := []string{"--cwd", dir, "--run-as", "daemon", "--socket-group", "www-data"}
	if c.listen {
		flags = append(flags, "--listen", c.path)
	} else {
		m.Sh(t, "mkdir -p $(dirname "+c.path+")")
	}
	a := install(t, m, c.name, 2, c.port, slices.Concat(flags, []string{"x", "--"}, c.command)...)
	if want := "listening on " + c.path + " (mode 0660, owner daemon:www-data)"; !strings.Contains(a.Output.Stdout, want) {
		t.Errorf("clusterctl install does not print %q: %v", want, a.Output)
	}
	file := m.Sh(t, "stat -c '%i %A %U:%G' "+c.path)
	run := load.Start(t, m, load.Options{URL: a.URL("/hello"), Conns: 4, Rate: rate, WorkerHeader: bodies})
	for range 3 {
		m.Must(t, "reload", "--settle", "100ms", c.name)
	}
	r := run.Stop()
	if by := responsesByPID(t, r, hello); r.Failed() > 0 || len(by) < 2 {
		t.Errorf("%d requests failed during three reloads, and %d processes answered, want 0 and at least 2: %v",
			r.Failed(), len(by), r)
	}
	if got := m.Sh(t, "stat -c '%i %A %U:%G' "+c.path); got != file || !strings.HasSuffix(got, " srw-rw---- daemon:www-data") {
		t.Errorf("the inode, mode and owner of the socket file were %s, and are %s", file, got)
	}
	a.Uninstall(t)
	return r
}
