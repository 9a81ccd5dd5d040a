//go:build lab

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// moments spreads kills evenly over a command. One that comes when the command is through counts for nothing: the command
// is quicker now than when it was measured.
type moments struct {
	whole            time.Duration // what the command takes
	kills, hit, late int
}

// more reports whether another kill is to come.
func (m *moments) more(t *testing.T) bool {
	t.Helper()
	if m.late > 3*m.kills {
		t.Fatalf("only %d of %d kills came in time", m.hit, m.kills)
	}
	return m.hit < m.kills
}

// moment is how long after the start the next kill comes.
func (m moments) moment() time.Duration {
	return m.whole * time.Duration(m.hit+1) / time.Duration(m.kills+1)
}

// wait waits for the moment: no event stands for it.
func (m *moments) wait() { time.Sleep(m.moment()) }

// note takes what became of the command.
func (m *moments) note(killed lab.Result) {
	if killed.Code == done {
		m.late++
		m.whole -= m.whole / 10
		return
	}
	m.hit++
}

func (m moments) String() string {
	return fmt.Sprintf("%d of %d moments of %v", m.hit, m.kills, m.whole.Round(time.Millisecond))
}
