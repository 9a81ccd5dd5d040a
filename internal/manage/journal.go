package manage

import (
	"context"
	"errors"
	"fmt"

	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units/control"
)

// restartJournal restarts the journald of the app if it runs, because journald reads its limits only when it starts. systemd
// keeps the connections of its clients, so no line is lost.
func (s *Session) restartJournal(ctx context.Context) error {
	outcomes, err := s.Conn.Do(ctx, control.TryRestart, control.Replace, s.Name.JournalUnits()[0])
	if err != nil {
		return err
	}
	if o := outcomes[0]; o.Err != nil && !errors.Is(o.Err, control.ErrNotFound) {
		return fmt.Errorf("restarting the journal of %s: %w", s.Name, o.Err)
	}
	return nil
}

// endJournal stops the journald of the app, and removes its journal unless keep is set.
func (s *Session) endJournal(ctx context.Context, keep bool) error {
	// A unit that does not exist cannot be stopped. Its outcome, which is ignored here, has that error.
	if _, err := s.Conn.Do(ctx, control.Stop, control.Replace, s.Name.JournalUnits()...); err != nil {
		return err
	}
	if err := s.Conn.ResetFailed(ctx, s.Name.JournalUnits()...); err != nil {
		return err
	}
	if !keep {
		return journal.Remove(s.Name.LogNamespace())
	}
	for _, dir := range journal.Existing(s.Name.LogNamespace()) {
		s.Note("the journal is kept: journalctl --namespace=%s, sudo rm -r %s", s.Name.LogNamespace(), text.Shell(dir))
	}
	return journal.RemoveRuntime(s.Name.LogNamespace())
}
