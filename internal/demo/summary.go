package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// summary prints the installed apps, the number of requests and failures of each action, and commands that the user can try.
func summary(w io.Writer, apps []app, actions []action, took time.Duration) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n== summary, after %v\n", took.Round(time.Second))
	for _, a := range apps {
		fmt.Fprintf(&b, "installed %-6s  %s\n", a.name, a.what)
	}
	fmt.Fprintf(&b, "\n%d clients, which never retry, sent requests during these actions:\n%-34s %8s %8s %5s\n", clients,
		"", "requests", "refused", "lost")
	kills := 0
	for _, a := range actions {
		kills += a.kills
		fmt.Fprintf(&b, "%-34s %8d %8d %5d", a.what, a.report.Requests, a.report.Refused, a.report.Broken())
		if a.kills > 0 {
			fmt.Fprintf(&b, "  (expected at most %d: one per client and kill)", a.kills*clients)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, yourServer, kills, runtime.GOARCH)
	_, err := io.WriteString(w, b.String())
	return err
}

const yourServer = `
%d workers were killed, and systemd restarted each of them. No request was refused, and all apps have been uninstalled.
The container has ended. This machine was not changed.

on your own server:
  make deb && sudo apt install ./dist/clusterctl_*_%s.deb
  cd /srv/shop && sudo clusterctl install server.js -i max    # any program: clusterctl install NAME -- PROGRAM
  clusterctl ls
  sudo clusterctl uninstall server
`
