package journald_test

import (
	"log/slog"

	"github.com/clusterctl/clusterctl/activation/journald"
)

// The whole program logs with fields: in the journal this is MESSAGE=payment failed, PRIORITY=3, USER_ID=17 and
// CARD_REASON=declined, and "clusterctl logs --fields" shows it.
func Example() {
	slog.SetDefault(slog.New(journald.NewHandler(&slog.HandlerOptions{AddSource: true})))

	slog.Error("payment failed", "user_id", 17, slog.Group("card", "reason", "declined"))
}
