// Package foreground returns hints for programs that go into the background when they start. systemd supervises only the
// process that it started, so a worker must stay in the foreground. The package contains a table of programs, and does not
// access the machine.
package foreground

import (
	"path"
	"slices"
	"strings"
)

// The type program describes a group of programs with the same hint.
type program struct {
	names []string
	// The field hint is the text that follows the name of the program in the hint.
	hint string
}

func programs() []program {
	with := func(flag string, names ...string) program { return program{names, "run it with " + flag} }
	without := func(flag string, names ...string) program { return program{names, "run it without " + flag} }
	return []program{
		with("-g 'daemon off;'", "nginx", "openresty", "tengine", "angie"),
		with("-DFOREGROUND", "apache2", "httpd", "apache2ctl", "apachectl"),
		with("-D", "lighttpd"),
		with("-F", "php-fpm", "varnishd", "webfsd", "dovecot"),
		with("-f", "hypnotoad", "named", "cron", "crond", "busybox"),
		with("-d", "tinyproxy", "slapd"),
		with("-n", "rsyslogd", "supervisord", "snmpd"),
		with("-D -e", "sshd"),
		with("-bdf", "exim", "exim4"),
		with("--nodaemon", "twistd"),
		with("--foreground", "squid", "pure-ftpd", "stunnel4"),
		with("--keep-in-foreground", "dnsmasq"),
		with("-oforeground=YES", "vsftpd"),
		{[]string{"stunnel"}, "set foreground = yes in its configuration"},
		with("--daemonize no", "redis-server", "redis-sentinel", "valkey-server", "keydb-server"),
		{[]string{"pg_ctl", "pg_ctlcluster"}, "run \"postgres\" instead"},
		{[]string{"caddy"}, "start it with \"caddy run\""},
		{[]string{"celery"}, "run \"celery worker\" without --detach instead of \"celery multi\""},
		without("-d", "memcached", "mosquitto", "thin", "unbound"),
		without("-D", "haproxy"),
		without("-D or --daemon, and without daemon in its configuration", "gunicorn", "unicorn", "unicorn_rails"),
		without("-d or --daemon", "puma", "rackup", "rails", "sidekiq", "resque"),
		without("-d, --daemonize or --daemonize2", "uwsgi"),
		without("--fork", "mongod", "mongos"),
		without("--daemonize", "mysqld", "mariadbd"),
		without("-detached", "rabbitmq-server"),
		{[]string{"pm2", "pm2-runtime"}, "install the program that PM2 starts, not PM2 itself"},
		{[]string{"forever"}, "install the program that forever starts, not forever itself"},
		{[]string{"screen", "tmux", "nohup", "setsid", "start-stop-daemon", "daemonize"}, "run the program directly, without this wrapper"},
	}
}

// shells returns the names of shells. In a script for a shell, "&" starts a program in the background.
func shells() []string { return []string{"sh", "bash", "dash", "zsh", "ksh", "ash"} }

// Hint returns a hint on how to keep a program in the foreground. The parameter command is the command that went into the
// background. The parameter remaining contains the names of its processes that were still running after the end of the main
// process, or is empty if the names are unknown.
func Hint(command, remaining []string) string {
	for _, word := range slices.Concat(command, remaining) {
		name := baseName(word)
		for _, p := range programs() {
			if slices.Contains(p.names, name) {
				return name + ": " + p.hint
			}
		}
	}
	if len(command) > 0 && slices.Contains(shells(), baseName(command[0])) {
		return "start the program without \"&\", best with \"exec PROGRAM\" as the last line of the script"
	}
	return "find the option that keeps the program in the foreground; it is often called --foreground or --no-daemon"
}

// baseName returns the name of a program without its directory and its version: "php-fpm" for "/usr/sbin/php-fpm8.2". Some
// programs change the name of their process: baseName returns "pm2" for "PM2 v5.3.0: God".
func baseName(word string) string {
	first, _, _ := strings.Cut(word, " ")
	name := path.Base(first)
	if strings.HasPrefix(name, "PM2") {
		return "pm2"
	}
	if strings.HasPrefix(name, "php-fpm") {
		return "php-fpm"
	}
	return name
}
