package contract

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kind of a socket that a program binds. TCP and UDP mean both families, IPv4 and IPv6.
type Kind uint8

// The kinds of socket.
const (
	TCP Kind = iota + 1
	TCP4
	TCP6
	UDP
	UDP4
	UDP6
	Unix
)

var kindWords = [...]string{"socket", TCP: "tcp", TCP4: "tcp4", TCP6: "tcp6", UDP: "udp", UDP4: "udp4", UDP6: "udp6", Unix: "unix"}

// String returns the word of the kind, such as "tcp4", and "socket" for the zero value.
func (k Kind) String() string { return kindWords[k] }

// Bind describes a bind(2) call. When the program makes this call, a listener replaces the socket of the program.
type Bind struct {
	Kind Kind
	Port uint16 // for TCP and UDP; never 0
	Path string // for Unix sockets; an abstract name begins with '@'
}

// String returns KIND:PORT or unix:PATH.
func (b Bind) String() string {
	if b.Kind == Unix {
		return "unix:" + b.Path
	}
	return b.Kind.String() + ":" + strconv.Itoa(int(b.Port))
}

var errBind = errors.New("want tcp:PORT, tcp4:PORT, tcp6:PORT, udp:PORT, udp4:PORT, udp6:PORT or unix:/PATH")

// maxPath is the longest path of a Unix socket (unix(7)).
const maxPath = 107

// ParseBind parses a text that Bind.String returns.
func ParseBind(s string) (Bind, error) {
	word, rest, _ := strings.Cut(s, ":")
	kind := Kind(max(slices.Index(kindWords[1:], word)+1, 0))
	if kind == Unix && len(rest) > 1 && len(rest) <= maxPath && (rest[0] == '/' || rest[0] == '@') {
		return Bind{Kind: kind, Path: rest}, nil
	}
	port, err := strconv.ParseUint(rest, 10, 16)
	if kind == 0 || kind == Unix || err != nil || port == 0 {
		return Bind{}, errBind
	}
	return Bind{Kind: kind, Port: uint16(port)}, nil
}

// Map is a value of the flag --map, which assigns an inherited descriptor to a bind of the program.
type Map struct {
	Key  string // the descriptor: NAME, NAME/K (the K-th with this name, from 0) or K (the K-th of all, from 0)
	Bind Bind
}

// MapFlag is the beginning of the argument --map=VALUE.
const MapFlag = "--map="

// String returns KEY=KIND:PORT.
func (m Map) String() string { return m.Key + "=" + m.Bind.String() }

// ParseMap parses a text that Map.String returns. The name of a descriptor may contain '=' but not ':'
// (sd_listen_fds_with_names(3)).
func ParseMap(s string) (Map, error) {
	head, _, _ := strings.Cut(s, ":")
	i := strings.LastIndexByte(head, '=')
	if i <= 0 {
		return Map{}, errors.New("want NAME=KIND:PORT, as in http=tcp:3000")
	}
	b, err := ParseBind(s[i+1:])
	if err != nil {
		return Map{}, err
	}
	return Map{Key: s[:i], Bind: b}, nil
}

// NthKey returns the key of the n-th descriptor with the name, counted from 0.
func NthKey(name string, n int) string { return name + "/" + strconv.Itoa(n) }

// Find searches the names of descriptors for the key of m, and returns the index of the descriptor. A key that is both
// a number and a name means the name.
func (m Map) Find(names []string) (int, error) {
	at, n := -1, 0
	for i, name := range names {
		if name == m.Key {
			at = i
			n++
		}
	}
	if n == 1 {
		return at, nil
	}
	if n > 1 {
		return -1, errors.New("several descriptors have the name " + strconv.Quote(m.Key) + "; the first is " + NthKey(m.Key, 0))
	}
	number := m.Key
	same := func(string) bool { return true }
	if i := strings.LastIndexByte(m.Key, '/'); i >= 0 {
		number = m.Key[i+1:]
		same = func(name string) bool { return name == m.Key[:i] }
	}
	k, err := strconv.Atoi(number)
	for i, name := range names {
		if err == nil && same(name) {
			if k == 0 {
				return i, nil
			}
			k--
		}
	}
	return -1, errors.New("no descriptor " + strconv.Quote(m.Key) + " among " + strconv.Quote(strings.Join(names, ":")))
}
