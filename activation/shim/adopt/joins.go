package adopt

// joins logs that the program joins a multicast group on a shared socket, and lets the kernel run the call. The membership
// stays on the socket, which the service manager keeps, so the next worker gets EADDRINUSE.
func (n *notifier) joins() {
	l := n.shared(n.n.PID, uint32(n.n.Args[0]))
	n.proceed()
	if l == nil || n.logged.joined {
		return
	}
	n.logged.joined = true
	n.line.start("the program joins a multicast group on the shared socket ").str(kindOf(l.Kind).String()).str(" ").addr(&l.Addr).
		str("; only the first worker can").
		hint().str("uninstall the app, and install it without --listen udp:").num(uint64(l.Addr.Port)).write()
}
