package pm2

func commands() []Entry {
	const (
		boot    = "not needed: an installed app is enabled, and systemd starts it at boot"
		reports = "clusterctl sends no reports; \"clusterctl ls --json\" prints the figures for your own monitoring"
		modules = "clusterctl has no modules; journald rotates the logs, and systemd-cgtop shows what each app uses"
		config  = "clusterctl has no settings; the settings of an app are in /etc/clusterctl/NAME.yaml, \"clusterctl cat NAME\" prints them"
		message = "clusterctl sends no messages to workers, only signals: \"clusterctl signal SIGNAL NAME\""
		deploy  = "copy the release with any tool, then run \"sudo clusterctl reload NAME\" on the machine"
		install = "\"sudo clusterctl install app.js\" installs or updates one app; \"sudo clusterctl apply\" does it for the apps of a file"
		figures = "clusterctl ls --watch; systemd-cgtop shows CPU and memory, \"clusterctl logs\" follows the logs"
	)
	return []Entry{
		{Names: []string{"jlist", "prettylist"}, Same: []string{"ls", "--json"}},
		{Names: []string{"desc"}, Same: []string{"show"}},
		{Names: []string{"sendSignal"}, Same: []string{"signal"}},
		{Names: []string{"gracefulReload"}, Same: []string{"reload"}},
		{Names: []string{"startOrRestart", "startOrReload", "startOrGracefulReload"}, Hint: install},
		{Names: []string{"create"}, Hint: "sudo clusterctl install app.js"},

		{Names: []string{"startup", "unstartup", "dump", "save", "cleardump", "resurrect"}, Hint: boot},
		{Names: []string{"kill"}, Hint: "there is no daemon to stop; \"sudo clusterctl stop all\" stops every app"},
		{Names: []string{"ping"}, Hint: "there is no daemon; \"clusterctl ls\" asks systemd"},
		{Names: []string{"update", "updatePM2", "deepUpdate"},
			Hint: "not needed: there is no daemon to update; after a new release of a program, run \"sudo clusterctl reload NAME\""},
		{Names: []string{"id", "pid"}, Hint: "apps have names, not numbers; \"clusterctl show NAME\" prints the pid of each instance"},

		{Names: []string{"slist", "sysinfos"}, Hint: "systemd-cgtop, or \"clusterctl ls --json\""},
		{Names: []string{"inspect"}, Hint: "clusterctl show NAME"},
		{Names: []string{"report"}, Hint: "clusterctl version, and \"clusterctl show NAME\""},
		{Names: []string{"monit", "imonit", "dashboard", "dash"}, Hint: figures},
		{Names: []string{"reloadLogs", "logrotate"},
			Hint: "not needed: journald rotates its files; SystemMaxUse= in journald.conf(5) limits them, " +
				"\"journalctl --vacuum-size=1G\" shrinks them now"},

		{Names: []string{"attach", "send", "trigger"}, Hint: message},
		{Names: []string{"profile:mem", "profile:cpu"},
			Hint: "start the program with its own profiler: sudo clusterctl install app.js --node-args=--cpu-prof"},
		{Names: []string{"deploy", "pull", "forward"}, Hint: deploy},
		{Names: []string{"backward"}, Hint: "\"sudo clusterctl rollback NAME\" restores the app's description; for its files, " + deploy},
		{Names: []string{"set", "multiset", "get", "conf", "config", "unset"}, Hint: config},
		{Names: []string{"ecosystem", "init"},
			Hint: "\"sudo clusterctl install app.js\" writes the description, \"clusterctl cat NAME\" prints it"},
		{Names: []string{"autoinstall", "examples"}, Hint: "clusterctl help install"},

		{Names: []string{"module:install", "module:update", "module:generate", "module:uninstall", "module:publish"}, Hint: modules},
		{Names: []string{"publish"}, Hint: "\"clusterctl package NAME\" makes a Debian package of an app for your own repository"},
		{Names: []string{"link", "unlink", "monitor", "unmonitor", "open", "plus", "register", "login", "logout"}, Hint: reports},
		{Names: []string{"serve", "expose"}, Hint: static},
	}
}

// static is the hint for PM2's server of static files.
const static = "sudo clusterctl install site --cwd DIR --listen 8080 -- python3 -m http.server 8080"
