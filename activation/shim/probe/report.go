package probe

import (
	"slices"
	"strconv"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/target"
)

// nonBlockingUnits returns [contract.Report].NonBlocking. Without a listening socket it is true.
func nonBlockingUnits(binds []contract.ProbeBind) bool {
	listening := func(b contract.ProbeBind) bool { return b.Listening }
	nonBlocking := func(b contract.ProbeBind) bool { return b.Listening && b.NonBlocking }
	return !slices.ContainsFunc(binds, listening) || slices.ContainsFunc(binds, nonBlocking)
}

// holdAccept returns [contract.Report].HoldAccept.
func holdAccept(binds []contract.ProbeBind) bool {
	return slices.ContainsFunc(binds, func(b contract.ProbeBind) bool { return b.Listening && !b.Epoll })
}

// words returns the family and the type of a socket.
func words(k target.Kind) (family, typ string) {
	switch k {
	case target.TCP4:
		return "inet", "stream"
	case target.TCP6:
		return "inet6", "stream"
	case target.UDP4:
		return "inet", "dgram"
	case target.UDP6:
		return "inet6", "dgram"
	case target.UnixStream:
		return "unix", "stream"
	}
	return "unix", "dgram"
}

// octal returns the mode of a file, as in "0755".
func octal(mode uint32) string { return "0" + strconv.FormatUint(uint64(mode), 8) }
