//go:build lab

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// killSchedule spreads kills evenly over the run of a command. A kill that comes after the end of the command is repeated
// earlier: the command takes less time now than when it was measured.
type killSchedule struct {
	whole            time.Duration // what the command takes
	kills, hit, late int
}

// more reports whether there are kills left.
func (s *killSchedule) more(t *testing.T) bool {
	t.Helper()
	if s.late > 3*s.kills {
		t.Fatalf("only %d of %d kills came in time", s.hit, s.kills)
	}
	return s.hit < s.kills
}

// delay returns the time from the start of the command to the next kill.
func (s killSchedule) delay() time.Duration {
	return s.whole * time.Duration(s.hit+1) / time.Duration(s.kills+1)
}

// wait sleeps until the time of the next kill: there is no event for it.
func (s *killSchedule) wait() { time.Sleep(s.delay()) }

// record counts a kill as in time or as late, by the result of the command.
func (s *killSchedule) record(killed lab.Result) {
	if killed.Code == done {
		s.late++
		s.whole -= s.whole / 10
		return
	}
	s.hit++
}

func (s killSchedule) String() string {
	return fmt.Sprintf("kill %d of %d within %v", s.hit, s.kills, s.whole.Round(time.Millisecond))
}
