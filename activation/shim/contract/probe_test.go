package contract

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func drawBind(t *rapid.T) ProbeBind {
	text, yes := rapid.String(), rapid.Bool()
	return ProbeBind{
		Family: text.Draw(t, "family"), Type: text.Draw(t, "type"), Address: text.Draw(t, "address"), Port: rapid.Uint16().Draw(t, "port"),
		Mode: text.Draw(t, "mode"), Private: yes.Draw(t, "private"), V6Only: yes.Draw(t, "v6only"),
		Listening: yes.Draw(t, "listening"), Backlog: rapid.Int().Draw(t, "backlog"), NonBlocking: yes.Draw(t, "nonblocking"),
		Epoll: yes.Draw(t, "epoll"), BlockingAccept: yes.Draw(t, "blocking accept"), Multicast: yes.Draw(t, "multicast"),
		Options: rapid.SliceOf(rapid.Custom(func(t *rapid.T) SocketOption {
			return SocketOption{text.Draw(t, "name"), rapid.Int64().Draw(t, "number"), text.Draw(t, "text")}
		})).Draw(t, "options"),
	}
}

// TestReportIsReadBack: the shim encodes a report without encoding/json, and clusterctl decodes it to the same report with
// encoding/json.
func TestReportIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		yes := rapid.Bool()
		r := Report{
			Version: 1,
			Binds:   rapid.SliceOf(rapid.Custom(drawBind)).Draw(t, "binds"), Exited: yes.Draw(t, "exited"),
			Idle: yes.Draw(t, "idle"), TookMS: rapid.Int64().Draw(t, "took"), TimedOut: yes.Draw(t, "timed out"),
			NonBlocking: yes.Draw(t, "non-blocking"), HoldAccept: yes.Draw(t, "hold accept"),
		}
		r.Status = ParseExit(rapid.StringMatching(`(exited/[0-9]{1,3})?`).Draw(t, "status"))
		r.Left = rapid.SliceOf(rapid.String()).Draw(t, "left")
		var got Report
		if err := json.Unmarshal(r.JSON(), &got); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("the report %s was read back as %+v, %v; want %+v", r.JSON(), got, err, r)
		}
	})
}
