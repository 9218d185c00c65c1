package deploy

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"
	"cellwarden/protocol/backend/store"
)

var update = flag.Bool("update", false, "rewrite grafana/*.json")

// panel is one plot or table of a dashboard. unit is Grafana's.
type panel struct {
	title, kind, unit, query string
}

// fleet asks PostgreSQL, receiver asks Prometheus.
var fleet = []panel{
	{"Faults that stand, by class", "barchart", "short", `SELECT class, count(*) AS n FROM alert WHERE closed IS NULL GROUP BY class ORDER BY n DESC`},
	{"Faults that stand", "table", "", `SELECT d.dev, a.class, a.verdict, a.who, a.act, to_timestamp(a.opened / 1000.0) AS since, a.acked_by FROM alert a JOIN device d ON d.id = a.device WHERE a.closed IS NULL ORDER BY a.opened LIMIT 500`},
	{"Devices", "stat", "short", `SELECT CASE WHEN up IS NULL THEN 'unknown' WHEN up THEN 'up' ELSE 'down' END AS metric, count(*) AS value FROM device_now GROUP BY 1`},
	{"Faults begun per day", "timeseries", "short", `SELECT date_trunc('day', to_timestamp(opened / 1000.0)) AS time, class AS metric, count(*) AS value FROM alert WHERE opened BETWEEN $__unixEpochFrom() * 1000::bigint AND $__unixEpochTo() * 1000::bigint GROUP BY 1, 2 ORDER BY 1`},
	{"Data used of the plan, the fullest", "table", "percentunit", `SELECT d.dev, n.used, n.quota, n.used::float / n.quota AS share FROM device_now n JOIN device d ON d.id = n.device WHERE n.quota > 0 ORDER BY share DESC LIMIT 100`},
	{"Signal, the weakest", "table", "dBm", `SELECT d.dev, n.rsrp FROM device_now n JOIN device d ON d.id = n.device WHERE n.rsrp IS NOT NULL ORDER BY n.rsrp LIMIT 100`},
	{"Not heard for longest", "table", "", `SELECT d.dev, to_timestamp(n.heard / 1000.0) AS heard FROM device_now n JOIN device d ON d.id = n.device ORDER BY n.heard LIMIT 100`},
	{"Mean signal per hour", "timeseries", "dBm", `SELECT date_trunc('hour', to_timestamp(at / 1000.0)) AS time, avg(rsrp) AS rsrp FROM state WHERE arrived BETWEEN $__unixEpochFrom() * 1000::bigint AND $__unixEpochTo() * 1000::bigint GROUP BY 1 ORDER BY 1`},
}

var receiver = []panel{
	{"Envelopes a second", "timeseries", "short", `sum by (result) (rate(cw_receiver_envelopes_total[5m]))`},
	{"Messages refused", "timeseries", "short", `sum by (reason) (rate(cw_receiver_rejected_total[5m]))`},
	{"Since the last commit", "timeseries", "s", `max by (instance) (cw_receiver_commit_age_seconds)`},
	{"A commit takes", "timeseries", "s", `rate(cw_receiver_commit_seconds_total[5m]) / rate(cw_receiver_commits_total[5m])`},
	{"Database does not take", "timeseries", "short", `rate(cw_receiver_database_retries_total[5m])`},
	{"Broker", "stat", "short", `min by (instance) (cw_receiver_broker_up)`},
	{"Webhooks", "timeseries", "short", `sum by (result) (rate(cw_webhook_tries_total[5m]))`},
	{"Webhooks waiting", "timeseries", "short", `max by (of) (cw_webhook_waiting)`},
	{"Lost without a word", "timeseries", "short", `max(cw_receiver_holes)`},
	{"Faults that stand", "timeseries", "short", `max by (of) (cw_alerts_open)`},
	{"Devices", "timeseries", "short", `max by (of) (cw_devices)`},
}

func dashboard(uid, title, source string, panels []panel) []byte {
	type m = map[string]any
	var list []m
	for i, p := range panels {
		target := m{"refId": "A", "datasource": m{"type": source, "uid": "${DS}"}}
		if source == "prometheus" {
			target["expr"] = p.query
		} else {
			target["rawSql"], target["rawQuery"] = p.query, true
			target["format"] = map[bool]string{true: "time_series", false: "table"}[p.kind == "timeseries"]
		}
		list = append(list, m{"id": i + 1, "title": p.title, "type": p.kind, "datasource": m{"type": source, "uid": "${DS}"}, "targets": []any{target},
			"fieldConfig": m{"defaults": m{"unit": p.unit}, "overrides": []any{}}, "gridPos": m{"h": 8, "w": 12, "x": 12 * (i % 2), "y": 8 * (i / 2)}})
	}
	raw, err := json.MarshalIndent(m{"uid": uid, "title": title, "schemaVersion": 39, "version": 1, "editable": true, "refresh": "30s", "time": m{"from": "now-7d", "to": "now"},
		"templating": m{"list": []any{m{"name": "DS", "type": "datasource", "query": source, "label": "source"}}}, "panels": list, "tags": []string{"cellwarden"}}, "", " ")
	if err != nil {
		panic(err)
	}
	return append(raw, '\n')
}

func TestDashboardsAreCommitted(t *testing.T) {
	for name, want := range map[string][]byte{
		"grafana/fleet.json":    dashboard("cellwarden-fleet", "cellwarden: the fleet", "postgres", fleet),
		"grafana/receiver.json": dashboard("cellwarden-receiver", "cellwarden: the receiver", "prometheus", receiver),
	} {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if have, err := os.ReadFile(name); err != nil || string(have) != string(want) {
			t.Errorf("%s is not what dashboards_test.go says: go test ./protocol/backend/deploy -update (%v)", name, err)
		}
	}
}

// Every query of the fleet's dashboard runs in PostgreSQL and, on a fleet with one
// fault, gives a row.
func TestEachQueryRuns(t *testing.T) {
	url, _ := backendtest.Postgres(t, false)
	s, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's
	now := time.Now()
	rsrp := -97.0
	var list []store.Message
	for seq, body := range []any{
		protocol.State{Class: "healthy", RSRP: &rsrp, UsedBytes: 10, QuotaBytes: 30},
		protocol.Alert{Incident: "i", Class: "weak_signal", Verdict: "likely", Since: protocol.Time{Wall: now.Format(time.RFC3339), Trusted: true}},
	} {
		typ := []protocol.Type{protocol.TypeState, protocol.TypeAlert}[seq]
		raw, err := protocol.NewBody(body)
		if err != nil {
			t.Fatal(err)
		}
		e := &protocol.Envelope{V: 1, Device: "cw-1", Epoch: "00000001", Seq: uint64(seq + 1), Type: typ, Body: raw, At: protocol.Time{Wall: now.Format(time.RFC3339), Trusted: true}}
		decoded, err := e.DecodeBody()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, store.Message{Tenant: "cw", Device: "cw-1", Arrived: now.UnixMilli(), Envelope: e, Body: decoded})
	}
	if _, err := s.Ingest(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, p := range fleet {
		q := strings.NewReplacer("$__unixEpochFrom()", fmt.Sprint(now.Add(-24*time.Hour).Unix()), "$__unixEpochTo()", fmt.Sprint(now.Add(time.Hour).Unix())).Replace(p.query)
		n := 0
		if err := s.DB.QueryRow("SELECT count(*) FROM (" + q + ") x").Scan(&n); err != nil || n == 0 {
			t.Errorf("%s: %d rows, %v\n%s", p.title, n, err, q)
		}
	}
}

// Every name in the receiver's dashboard is one that the receiver says, by its source.
func TestEachMetricExists(t *testing.T) {
	source, err := os.ReadFile("../receiver/http.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bcw_[a-z_]+`)
	for _, p := range receiver {
		for _, name := range names.FindAllString(p.query, -1) {
			if !strings.Contains(string(source), `"`+name) {
				t.Errorf("%s: the receiver has no metric %s", p.title, name)
			}
		}
	}
}
