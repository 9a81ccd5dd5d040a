package sockopt

import "golang.org/x/sys/unix"

// option is a socket option that connections inherit from a listener, or that acts on the listener itself.
type option struct {
	name          string // as in socket(7), tcp(7), ip(7), ipv6(7) or udp(7)
	level, number int
	size          uint32 // size of the value in bytes
}

// maxSize is the size of the largest values: the name of a congestion control, and struct timeval.
const maxSize = 16

// Options that package unix does not define.
const (
	udpSegment = 103
	udpGRO     = 104
)

// options lists all options that are copied, in the order in which Apply sets the options. SO_PRIORITY must come after
// IP_TOS, which also changes the priority.
//
// SO_REUSEADDR and SO_REUSEPORT are not copied, because they only affect bind(2), which systemd has already called.
// IPV6_V6ONLY cannot change after bind(2); the socket unit sets it by BindIPv6Only=.
var options = [...]option{
	{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, 4},
	{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, 4},
	{"IP_MINTTL", unix.IPPROTO_IP, unix.IP_MINTTL, 4},
	{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, 4},
	{"IP_FREEBIND", unix.IPPROTO_IP, unix.IP_FREEBIND, 4},
	{"IP_TRANSPARENT", unix.IPPROTO_IP, unix.IP_TRANSPARENT, 4},
	{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 4},
	{"IP_RECVTOS", unix.IPPROTO_IP, unix.IP_RECVTOS, 4},
	{"IP_RECVTTL", unix.IPPROTO_IP, unix.IP_RECVTTL, 4},
	{"IP_RECVERR", unix.IPPROTO_IP, unix.IP_RECVERR, 4},
	{"IP_RECVORIGDSTADDR", unix.IPPROTO_IP, unix.IP_RECVORIGDSTADDR, 4},
	{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 4},
	{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 4},
	{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 4},
	{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 4},
	{"IPV6_MINHOPCOUNT", unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 4},
	{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, 4},
	{"IPV6_DONTFRAG", unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 4},
	{"IPV6_AUTOFLOWLABEL", unix.IPPROTO_IPV6, unix.IPV6_AUTOFLOWLABEL, 4},
	{"IPV6_TRANSPARENT", unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 4},
	{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 4},
	{"IPV6_RECVTCLASS", unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 4},
	{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 4},
	{"IPV6_RECVERR", unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 4},
	{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 4},
	{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 4},
	{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 4},
	{"TCP_CORK", unix.IPPROTO_TCP, unix.TCP_CORK, 4},
	{"TCP_MAXSEG", unix.IPPROTO_TCP, unix.TCP_MAXSEG, 4},
	{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 4},
	{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 4},
	{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	{"TCP_LINGER2", unix.IPPROTO_TCP, unix.TCP_LINGER2, 4},
	{"TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 4},
	{"TCP_WINDOW_CLAMP", unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, 4},
	{"TCP_CONGESTION", unix.IPPROTO_TCP, unix.TCP_CONGESTION, maxSize},
	{"TCP_THIN_LINEAR_TIMEOUTS", unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS, 4},
	{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 4},
	{"TCP_FASTOPEN", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 4},
	{"TCP_FASTOPEN_NO_COOKIE", unix.IPPROTO_TCP, unix.TCP_FASTOPEN_NO_COOKIE, 4},
	{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 4},
	{"TCP_SAVE_SYN", unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 4},
	{"TCP_INQ", unix.IPPROTO_TCP, unix.TCP_INQ, 4},
	{"TCP_TX_DELAY", unix.IPPROTO_TCP, unix.TCP_TX_DELAY, 4},
	{"UDP_SEGMENT", unix.IPPROTO_UDP, udpSegment, 4},
	{"UDP_GRO", unix.IPPROTO_UDP, udpGRO, 4},
	{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 4},
	{"SO_BROADCAST", unix.SOL_SOCKET, unix.SO_BROADCAST, 4},
	{"SO_DONTROUTE", unix.SOL_SOCKET, unix.SO_DONTROUTE, 4},
	{"SO_OOBINLINE", unix.SOL_SOCKET, unix.SO_OOBINLINE, 4},
	{"SO_LINGER", unix.SOL_SOCKET, unix.SO_LINGER, 8},
	{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 4},
	{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 4},
	// With SO_BUF_LOCK (Linux 5.14), the kernel does not enlarge the buffers. SO_BUF_LOCK is set if the program has set the
	// size of a buffer, even to the default size.
	{"SO_BUF_LOCK", unix.SOL_SOCKET, unix.SO_BUF_LOCK, 4},
	{"SO_RCVLOWAT", unix.SOL_SOCKET, unix.SO_RCVLOWAT, 4},
	{"SO_RCVTIMEO", unix.SOL_SOCKET, unix.SO_RCVTIMEO, 16},
	{"SO_SNDTIMEO", unix.SOL_SOCKET, unix.SO_SNDTIMEO, 16},
	{"SO_PASSCRED", unix.SOL_SOCKET, unix.SO_PASSCRED, 4},
	{"SO_PASSSEC", unix.SOL_SOCKET, unix.SO_PASSSEC, 4},
	{"SO_TIMESTAMP", unix.SOL_SOCKET, unix.SO_TIMESTAMP, 4},
	{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 4},
	{"SO_TIMESTAMPING", unix.SOL_SOCKET, unix.SO_TIMESTAMPING, 4},
	{"SO_RXQ_OVFL", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 4},
	{"SO_BUSY_POLL", unix.SOL_SOCKET, unix.SO_BUSY_POLL, 4},
	{"SO_PREFER_BUSY_POLL", unix.SOL_SOCKET, unix.SO_PREFER_BUSY_POLL, 4},
	{"SO_MAX_PACING_RATE", unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 4},
	{"SO_ZEROCOPY", unix.SOL_SOCKET, unix.SO_ZEROCOPY, 4},
	{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, 4},
	{"SO_MARK", unix.SOL_SOCKET, unix.SO_MARK, 4},
	{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, 4},
}
