package left_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"github.com/clusterctl/clusterctl/activation/shim/drain/left"
)

// TestReport: Load returns the saved report, and returns false for a damaged file. Save removes the file if the report has
// no connections.
func TestReport(t *testing.T) {
	instance := filepath.Join(t.TempDir(), "1")
	want := left.Report{Waited: 8 * time.Second, Count: 2, Connections: []left.Connection{
		{Peer: "127.0.0.1:4000", Request: 9 * time.Second}, {},
	}}
	if err := left.Save(instance, want); err != nil {
		t.Fatal(err)
	}
	if got, ok := left.Load(instance); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("Load returned %+v, %v, want %+v", got, ok, want)
	}
	for _, bad := range []string{"", "x", "clusterctl-left 1\n", "clusterctl-left 1\ncount=-1\nend\n",
		"clusterctl-left 1\ncount=x\nend\n"} {
		if err := os.WriteFile(instance+contract.LeftSuffix, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, ok := left.Load(instance); ok {
			t.Errorf("Load of the damaged file %q returned %+v, want ok false", bad, got)
		}
	}
	for range 2 {
		if err := left.Save(instance, left.Report{Waited: time.Second}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(instance + contract.LeftSuffix); !os.IsNotExist(err) {
			t.Errorf("after Save of an empty report, Lstat returned %v, want ErrNotExist", err)
		}
	}
}

// TestMaxConnections: a report lists at most MaxConnections connections. With the longest addresses, its text has at most
// 4096 bytes.
func TestMaxConnections(t *testing.T) {
	r := left.Report{Count: 1000}
	for range 1000 {
		r.Connections = append(r.Connections,
			left.Connection{Peer: "[" + strings.Repeat("ffff:", 7) + "ffff%4294967295]:65535", Request: 1 << 62})
	}
	got, ok := left.Decode(r.Encode())
	if !ok || got.Count != 1000 || len(got.Connections) != left.MaxConnections || len(r.Encode()) > 4096 {
		t.Errorf("Decode returned %v, Count %d, %d connections of %d bytes, want true, 1000, %d, at most 4096", ok, got.Count,
			len(got.Connections), len(r.Encode()), left.MaxConnections)
	}
}
