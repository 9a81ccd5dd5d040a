package journald_test

import (
	"log/slog"

	"github.com/clusterctl/clusterctl/activation/journald"
)

// The default logger of the program writes to the journal. The entry has the fields MESSAGE=payment failed,
// PRIORITY=3, USER_ID=17 and CARD_REASON=declined, which "clusterctl logs --fields" shows.
func Example() {
	slog.SetDefault(slog.New(journald.NewHandler(&slog.HandlerOptions{AddSource: true})))

	slog.Error("payment failed", "user_id", 17, slog.Group("card", "reason", "declined"))
}
