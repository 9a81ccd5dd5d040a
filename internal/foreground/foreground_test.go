package foreground

import (
	"strings"
	"testing"
)

func TestHint(t *testing.T) {
	for _, c := range []struct{ command, left, want string }{
		{"/usr/sbin/nginx", "nginx nginx", "nginx: run it with -g 'daemon off;'"},
		{"/usr/bin/redis-server --daemonize yes", "redis-server", "redis-server: run it with --daemonize no"},
		{"/usr/bin/memcached -d", "", "memcached: run it without -d"},
		{"/usr/sbin/apache2 -f x", "", "apache2: run it with -DFOREGROUND"},
		{"/usr/sbin/php-fpm8.2", "php-fpm8.2", "php-fpm: run it with -F"},
		{"/usr/bin/python3 /usr/bin/gunicorn -D app", "gunicorn", "gunicorn: run it without -D or --daemon, and"},
		{"/usr/bin/npm start", "PM2", "pm2: install the program that PM2 starts, not PM2 itself"},
		{"/bin/sh -c x", "nginx", "nginx: run it with -g"},
		{"/bin/bash /srv/start.sh", "server", "start the program without \"&\""},
		{"/srv/own", "own", "find the option that keeps the program in the foreground"},
		{"", "", "find the option that keeps the program in the foreground"},
	} {
		if got := Hint(strings.Fields(c.command), strings.Fields(c.left)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, left %q: got %q, want %q", c.command, c.left, got, c.want)
		}
	}
}

// TestNamesAreUnique checks that each program has only one entry.
func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range programs() {
		for _, n := range p.names {
			if seen[n] {
				t.Errorf("%s has two entries", n)
			}
			seen[n] = true
		}
	}
}
