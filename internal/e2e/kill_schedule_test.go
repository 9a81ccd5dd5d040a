//go:build lab

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// killSchedule spreads kills evenly over the run of a command. If the command ends before a kill, it was faster than
// measured, so the kill is repeated with a shorter delay.
type killSchedule struct {
	whole            time.Duration // the duration of the command
	kills, hit, late int
}

// more reports whether kills are left.
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

// wait sleeps until the time of the next kill.
func (s *killSchedule) wait() { time.Sleep(s.delay()) }

// record counts a kill as in time, or as late when the command had already succeeded.
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
