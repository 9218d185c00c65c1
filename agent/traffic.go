package agent

import (
	"context"
	"log/slog"

	"cellwarden/modem"
)

// logTraffic writes each line that passes the modem's port into the log, at the
// level debug, as the recorder keeps it: redacted. kind is ">" for what was sent,
// "<" for its answer, "!" for what came unasked, "~" for what was dropped.
func logTraffic(rec *modem.Recorder, log *slog.Logger) {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	rec.Log = func(r modem.Record) { log.Debug("at", "kind", string(r.Kind), "line", r.Line) }
}
