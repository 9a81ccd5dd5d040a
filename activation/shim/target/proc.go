package target

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// Kind is the kind of a socket: protocol and address family.
type Kind uint8

// The kinds of sockets. Unknown means a socket of another kind, or a file that is not a socket.
const (
	Unknown Kind = iota
	TCP4         // TCP or MPTCP over IPv4
	TCP6
	UDP4
	UDP6
	UnixStream
	UnixOther // datagram and seqpacket
)

// ParseProto returns the kind of a socket from the value of its extended attribute system.sockprotoname. The value is the
// name of the kernel's struct proto (net/socket.c, sockfs_xattr_get), which lsof(8) shows too. Reading SO_TYPE of a socket
// of another process needs the right to attach to the process, but reading the attribute does not.
func ParseProto(b []byte) Kind {
	switch string(bytes.TrimSuffix(b, []byte{0})) {
	case "TCP", "MPTCP":
		return TCP4
	case "TCPv6", "MPTCPv6":
		return TCP6
	case "UDP":
		return UDP4
	case "UDPv6":
		return UDP6
	case "UNIX-STREAM":
		return UnixStream
	case "UNIX": // all types before Linux 5.15, later only datagrams and seqpacket
		return UnixOther
	}
	return Unknown
}

// ParseFlags returns the open flags, including O_CLOEXEC, from the "flags:" line of /proc/PID/fdinfo/FD
// (proc_pid_fdinfo(5)).
func ParseFlags(b []byte) (flags uint32, ok bool) { return octal(b, "flags:") }

// ParseUmask returns the umask from the "Umask:" line of /proc/PID/status (proc_pid_status(5), since Linux 4.7).
func ParseUmask(b []byte) (umask uint32, ok bool) { return octal(b, "Umask:") }

// octal returns the octal number after the key, in the first line that begins with the key.
func octal(b []byte, key string) (n uint32, ok bool) {
	line := bytes.TrimLeft(find(b, key), "\t ")
	if len(line) == 0 || len(line) > 10 {
		return 0, false
	}
	for _, c := range line {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | uint32(c-'0')
	}
	return n, true
}

// ParseSocketLink returns the inode 123 for "socket:[123]", the text of the link /proc/PID/fd/FD of a socket.
func ParseSocketLink(b []byte) (inode uint64, ok bool) {
	const head = "socket:["
	if len(b) < len(head)+2 || string(b[:len(head)]) != head || b[len(b)-1] != ']' {
		return 0, false
	}
	return parseUint(b[len(head) : len(b)-1])
}

// Stat is the result of ParseStat.
type Stat struct {
	State  byte   // R, S, D, T, t, Z, X, I
	Parent uint64 // process id
	Ticks  uint64 // CPU time (utime and stime) in clock ticks
	// Reaped is the CPU time of the children that have ended and for which the process has waited.
	Reaped uint64
}

// ParseStat parses /proc/PID/stat (proc_pid_stat(5)). ParseStat counts the fields from the last parenthesis on, because the
// command name before this parenthesis may contain spaces and parentheses.
func ParseStat(b []byte) (s Stat, ok bool) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return Stat{}, false
	}
	b = b[end+1:]
	// The word after ") " is field 3, the state.
	for field := 2; len(b) > 0; field++ {
		var word []byte
		word, b, _ = bytes.Cut(b, []byte{' '})
		if field == 3 && len(word) == 1 {
			s.State = word[0]
		}
		if field != 4 && (field < 14 || field > 17) {
			continue
		}
		n, good := parseUint(word)
		if !good {
			return Stat{}, false
		}
		if field == 4 {
			s.Parent = n
			continue
		}
		if field > 15 {
			s.Reaped += n
		} else {
			s.Ticks += n
		}
		if field == 17 {
			return s, true
		}
	}
	return Stat{}, false
}

// ParseUID returns the effective user id from /proc/TID/status (proc_pid_status(5)): the second number of the "Uid:" line.
// The kernel escapes newlines in the "Name:" line above, so no process can forge the "Uid:" line.
func ParseUID(b []byte) (uid uint32, ok bool) {
	_, line, _ := bytes.Cut(find(b, "Uid:\t"), []byte{'\t'}) // one tab before each number
	number, _, _ := bytes.Cut(line, []byte{'\t'})
	n, good := parseUint(number)
	return uint32(n), good && n < 1<<32
}

// ParseThreadGroup returns the process of a thread from the "Tgid:" line of /proc/TID/status.
func ParseThreadGroup(b []byte) (pid uint64, ok bool) { return parseUint(find(b, "Tgid:\t")) }

// The function find returns the text after the key in the first line that begins with the key.
func find(b []byte, key string) []byte {
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		if len(line) >= len(key) && string(line[:len(key)]) == key {
			return line[len(key):]
		}
	}
	return nil
}

// ParseThreads appends thread ids to tids up to its capacity. b holds directory entries (getdents64(2)) of /proc/PID/task.
func ParseThreads(b []byte, tids []uint32) []uint32 {
	const head = 19 // d_ino, d_off, d_reclen, d_type
	for len(b) > head {
		size := int(b[16]) | int(b[17])<<8 // amd64 and arm64 are little-endian
		if size <= head || size > len(b) {
			return tids
		}
		name, _, _ := bytes.Cut(b[head:size], []byte{0})
		if n, ok := parseUint(name); ok && n < 1<<32 && len(tids) < cap(tids) {
			tids = append(tids, uint32(n))
		}
		b = b[size:]
	}
	return tids
}

// CloseOnExec reports whether open flags contain O_CLOEXEC.
func CloseOnExec(flags uint32) bool { return flags&unix.O_CLOEXEC != 0 }

// NonBlocking reports whether open flags contain O_NONBLOCK.
func NonBlocking(flags uint32) bool { return flags&unix.O_NONBLOCK != 0 }

func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
