//go:build !linux

package activation

import (
	"net"
	"time"
)

// silentFor returns sinceState: only Linux reports more. See silent_linux.go.
func silentFor(_ net.Conn, sinceState time.Duration) time.Duration { return sinceState }
