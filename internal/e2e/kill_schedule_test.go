//go:build lab

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// killSchedule distributes kills evenly over the duration of a command. If the command ends before a kill, killSchedule
// repeats this kill with a shorter delay.
type killSchedule struct {
	whole time.Duration // the duration of the command
	kills int           // the number of kills that must hit a running command
	hit   int           // the number of kills that have hit a running command
	late  int           // the number of kills that came after the end of the command
}

// needsKill reports whether the test needs another kill. If too many kills came after the end of the command, needsKill
// ends the test.
func (s *killSchedule) needsKill(t *testing.T) bool {
	t.Helper()
	if s.late > 3*s.kills {
		t.Fatalf("%d kills came after the end of the command, and only %d of %d before its end", s.late, s.hit, s.kills)
	}
	return s.hit < s.kills
}

// The method delay returns the time from the start of the command to the next kill.
func (s killSchedule) delay() time.Duration {
	return s.whole * time.Duration(s.hit+1) / time.Duration(s.kills+1)
}

// The method wait sleeps until the time of the next kill.
func (s *killSchedule) wait() { time.Sleep(s.delay()) }

// The method record counts a kill. The parameter r is the result of the command. If the command has succeeded, the kill
// came after its end.
func (s *killSchedule) record(r lab.Result) {
	if r.Code == done {
		s.late++
		s.whole -= s.whole / 10
		return
	}
	s.hit++
}

func (s killSchedule) String() string {
	return fmt.Sprintf("kill %d of %d within %v", s.hit, s.kills, s.whole.Round(time.Millisecond))
}
