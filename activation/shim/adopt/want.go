package adopt

import (
	"errors"
	"strconv"
	"strings"

	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// Kinds is a set of socket kinds.
type Kinds uint8

// Has reports whether k is in the set.
func (s Kinds) Has(k target.Kind) bool { return s&(1<<k) != 0 }

func kinds(list ...target.Kind) (s Kinds) {
	for _, k := range list {
		s |= 1 << k
	}
	return s
}

// Want is the bind of the program that a listener answers.
type Want struct {
	Kinds Kinds  // of the socket that the program binds
	Port  uint16 // for TCP and UDP; never 0
	Path  string // for unix sockets, an abstract one with a leading '@'
}

// The words of a Want, as ParseWant reads them.
var words = [...]struct {
	word  string
	kinds Kinds
}{
	{"tcp4", kinds(target.TCP4)},
	{"tcp6", kinds(target.TCP6)},
	{"tcp", kinds(target.TCP4, target.TCP6)},
	{"udp4", kinds(target.UDP4)},
	{"udp6", kinds(target.UDP6)},
	{"udp", kinds(target.UDP4, target.UDP6)},
	{"unix", kinds(target.UnixStream, target.UnixOther)},
}

var errWant = errors.New("want tcp:PORT, tcp4:PORT, tcp6:PORT, udp:PORT, udp4:PORT, udp6:PORT or unix:/PATH")

// ParseWant reads KIND:PORT or unix:PATH. tcp and udp stand for either family.
func ParseWant(s string) (Want, error) {
	kind, rest, _ := strings.Cut(s, ":")
	for _, w := range words {
		if w.word != kind {
			continue
		}
		if kind == "unix" {
			if len(rest) < 2 || len(rest) > 107 || rest[0] != '/' && rest[0] != '@' {
				return Want{}, errWant
			}
			return Want{Kinds: w.kinds, Path: rest}, nil
		}
		port, err := strconv.ParseUint(rest, 10, 16)
		if err != nil || port == 0 {
			return Want{}, errWant
		}
		return Want{Kinds: w.kinds, Port: uint16(port)}, nil
	}
	return Want{}, errWant
}

// String is the text that ParseWant reads back.
func (w Want) String() string {
	for _, x := range words {
		if x.kinds != w.Kinds {
			continue
		}
		if x.word == "unix" {
			return "unix:" + w.Path
		}
		return x.word + ":" + strconv.Itoa(int(w.Port))
	}
	return "nothing"
}

// Map assigns a Want to one inherited descriptor.
type Map struct {
	Key  string // the descriptor: NAME, NAME/K (the K-th of that name, from 0) or K (of all, from 0)
	Want Want
}

// ParseMap reads KEY=KIND:PORT, as --map gives it.
func ParseMap(s string) (Map, error) {
	// Names of descriptors may contain '=', ports and paths of ours hardly ever.
	i := strings.LastIndex(s, "=tcp")
	for _, sep := range [...]string{"=udp", "=unix:"} {
		i = max(i, strings.LastIndex(s, sep))
	}
	if i <= 0 {
		return Map{}, errors.New("want NAME=KIND:PORT, as in http=tcp:3000")
	}
	w, err := ParseWant(s[i+1:])
	if err != nil {
		return Map{}, err
	}
	return Map{Key: s[:i], Want: w}, nil
}

// find returns the index in names that key means. A name wins over a number.
func find(names []string, key string) (int, error) {
	at, n := -1, 0
	for i, name := range names {
		if name == key {
			at = i
			n++
		}
	}
	if n == 1 {
		return at, nil
	}
	if n > 1 {
		return -1, errors.New("several descriptors are called " + strconv.Quote(key) + "; say which, as in " + key + "/0")
	}
	number := key
	same := func(string) bool { return true }
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		number = key[i+1:]
		same = func(name string) bool { return name == key[:i] }
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
	return -1, errors.New("no descriptor " + strconv.Quote(key) + " among " + strconv.Quote(strings.Join(names, ":")))
}
