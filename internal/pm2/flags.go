package pm2

// edit returns a hint for a setting that users can make in a drop-in of systemd.
func edit(setting string) string {
	return "sudo systemctl edit NAME@.service, with " + setting + " under [Service]"
}

// processFlags returns the flags for the process and its restarts.
func processFlags() []Entry {
	const backoff = "not needed: the first restart is immediate, and after short runs the delay grows from 100 ms to 30 s; " +
		"--min-uptime sets what a short run is"
	return []Entry{
		{Names: []string{"silent", "s"}, Same: []string{"quiet"}},
		{Names: []string{"kill-timeout", "k"}, Same: []string{"stop-timeout"}, Convert: milliseconds},
		{Names: []string{"listen-timeout"}, Same: []string{"start-timeout"}, Convert: milliseconds},
		{Names: []string{"no-autorestart"}, Same: []string{"restart", "no"}},
		{Names: []string{"stop-exit-codes"}, Same: []string{"restart"}, Convert: stopExitCodes,
			Hint: edit("RestartPreventExitStatus=CODES") + "; --restart on-failure covers only code 0"},
		{Names: []string{"uid", "u"}, Same: []string{"run-as"}},
		{Names: []string{"gid"}, Hint: "--run-as USER:GROUP"},
		{Names: []string{"user"}, Hint: "--run-as USER"},
		{Names: []string{"parallel"}, Same: []string{"batch"},
			Hint: "a start or restart runs all its jobs at once; \"clusterctl reload --batch N\" replaces N instances at a time"},
		{Names: []string{"restart-delay"},
			Hint: backoff + ", and RestartSec= with RestartMaxDelaySec=infinity in " +
				"\"sudo systemctl edit NAME@.service\" adds a fixed delay"},
		{Names: []string{"exp-backoff-restart-delay"}, Hint: backoff},
		{Names: []string{"max-memory-restart"},
			Hint: edit("MemoryMax=300M") + "; for the whole app, sudo systemctl set-property clusterctl-NAME.slice MemoryMax=1G"},
		{Names: []string{"cron", "cron-restart", "c"},
			Hint: "sudo systemd-run --unit NAME-reload --on-calendar '04:00' clusterctl reload NAME"},
		{Names: []string{"watch", "ignore-watch", "watch-delay", "ext"},
			Hint: "clusterctl does not watch files; after a change, run \"sudo clusterctl reload NAME\""},
		{Names: []string{"wait-ready"},
			Hint: "an adopted program is ready when it listens; instead of process.send('ready'), --ready notify waits for " +
				"READY=1, see sd_notify(3)"},
		{Names: []string{"shutdown-with-message"}, Hint: "workers are stopped with SIGTERM: handle it in process.on('SIGTERM', …)"},
		{Names: []string{"no-treekill"}, Hint: edit("KillMode=process")},
		{Names: []string{"no-autostart"},
			Hint: "--dry-run prints what would be installed; \"sudo systemctl disable NAME\" keeps an app from starting at boot"},
		{Names: []string{"no-daemon", "attach"}, Hint: "there is no daemon; \"clusterctl logs NAME\" follows what the app prints"},
		{Names: []string{"f"}, Hint: "not needed: clusterctl needs no force; \"clusterctl uninstall --yes\" does not ask"},
		{Names: []string{"update-env", "a"},
			Hint: "workers get the variables of --env and --env-file, not the variables of your shell; " +
				"files are read at each start, so \"sudo clusterctl reload NAME\" is enough"},
		{Names: []string{"only"}, Hint: "name the apps: clusterctl reload NAME NAME"},
		{Names: []string{"namespace"}, Hint: "start the names of related apps with the same word: 'shop-*' then means all of them"},
	}
}

func logFlags() []Entry {
	const file = "what a worker prints goes to the journal, \"clusterctl logs NAME\" shows it; for a file, "
	return []Entry{
		{Names: []string{"output", "o", "error", "log"}, Hint: file + edit("StandardOutput=append:/var/log/NAME.log")},
		{Names: []string{"merge-logs"}, Hint: "not needed: \"clusterctl logs NAME\" merges the instances"},
		{Names: []string{"log-type", "log-date-format", "time"},
			Hint: "the journal keeps the time of each line: \"clusterctl logs NAME --timestamp\", or --json for programs"},
		{Names: []string{"disable-logs"}, Hint: edit("StandardOutput=null")},
		{Names: []string{"nostream"}, Same: []string{"no-follow"}},
		{Names: []string{"err", "out"},
			Hint: "journald does not record whether a line came from stdout or stderr; \"clusterctl logs NAME --priority warning\" shows " +
				"lines that the program marked, with \"<4>\" in front (sd-daemon(3)) or through syslog"},
		{Names: []string{"format", "formatted"}, Hint: "clusterctl logs NAME --highlight WORD"},
	}
}

func otherFlags() []Entry {
	const agent = "clusterctl puts no agent into programs, so there is none to turn off"
	return []Entry{
		{Names: []string{"filter-env"}, Hint: "not needed: workers get no variable of your shell; --env and --env-file add them"},
		{Names: []string{"mini-list", "m"}, Hint: "clusterctl ls | sort -k 2"},
		{Names: []string{"pid", "p"}, Hint: "clusterctl show NAME prints the pids; systemctl show --property MainPID --value NAME@1"},
		{Names: []string{"execute-command", "x"}, Hint: "write the program and its arguments behind --"},
		{Names: []string{"source-map-support"}, Hint: "--node-args=--enable-source-maps"},
		{Names: []string{"disable-source-map-support"}, Hint: "not needed: clusterctl loads nothing for source maps into the program"},
		{Names: []string{"hp"}, Hint: "clusterctl keeps nothing in a home directory"},
		{Names: []string{"wait-ip"},
			Hint: "sudo systemctl edit NAME.service, with After=network-online.target and Wants=network-online.target under [Unit]"},
		{Names: []string{"service-name"}, Hint: "the unit has the name of the app: --name"},
		{Names: []string{"write", "w"}, Hint: "every install keeps the description in /etc/clusterctl/NAME.yaml"},
		{Names: []string{"no-pmx", "no-automation", "trace", "disable-trace", "deep-monitoring"}, Hint: agent},
		{Names: []string{"no-vizion"}, Hint: "not needed: clusterctl does not look at git"},
		{Names: []string{"port"}, Hint: "--listen PORT"},
		{Names: []string{"spa", "basic-auth-username", "basic-auth-password"}, Hint: "clusterctl serves no files itself; " + static},
		{Names: []string{"tree"}, Hint: "systemd-cgls -u clusterctl-NAME.slice"},
	}
}
