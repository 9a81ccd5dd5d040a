//go:build lab

package matrix

import (
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestReloadWaitsForPausedResponse reloads an app while a worker sends a response with a pause of 8 s in its body. The
// pause is longer than the time after which the drain treats a connection without a request as unused. The drain must
// wait for the end of this response.
func TestReloadWaitsForPausedResponse(t *testing.T) {
	t.Parallel()
	m := suite().Shared(t, lab.Workers)
	a := install(t, m, "d-parts", 1, 8751, portFlags(8751, "streams.js")...)
	client := m.Start(t, "curl", "-sSN", "-o", "/tmp/d-parts", a.URL("/parts"))
	m.Sh(t, "until test -s /tmp/d-parts; do sleep 0.1; done")
	begin := time.Now()
	m.Must(t, "reload", a.Name)
	t.Logf("the reload took %v", time.Since(begin))
	if r := client.Wait(); r.Code != 0 || m.ReadFile(t, "/tmp/d-parts") != "first second\n" {
		t.Errorf("the response is %q, want \"first second\\n\": %v", m.ReadFile(t, "/tmp/d-parts"), r)
	}
}

// TestReloadDoesNotWaitForLongStream reloads an app while a worker sends a stream whose request is older than the drain
// timeout. The drain must not wait for this stream, and must log the address of the client.
func TestReloadDoesNotWaitForLongStream(t *testing.T) {
	t.Parallel()
	m := suite().Shared(t, lab.Workers)
	a := install(t, m, "d-events", 2, 8752, portFlags(8752, "--drain-timeout", "8s", "streams.js")...)
	client := m.Start(t, "curl", "-sSN", "-o", "/tmp/d-events", a.URL("/events"))
	// Nine events take nine seconds, and the drain timeout is 8 s.
	m.Sh(t, "until test $(grep -c data: /tmp/d-events) -ge 9; do sleep 0.2; done 2>/dev/null")
	peer := m.Sh(t, "ss -Htn state established '( dport = :8752 )' | awk '{print $3}'")
	begin := time.Now()
	m.Must(t, "reload", a.Name)
	t.Logf("the reload took %v", time.Since(begin))
	client.Wait()
	m.AwaitJournal(t, "not waiting for the streams of "+peer, "-u", a.Name+"@*")
}
