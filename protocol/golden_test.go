package protocol

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/golden and the tables of REFERENCE.md")

func ptr[T any](v T) *T { return &v }

// samples is one message of every type, with every field of its body set, so
// that the goldens show all that a backend may meet.
func samples(t testing.TB) map[string]Envelope {
	t.Helper()
	at := Time{Wall: "2026-11-22T04:21:07.250Z", Trusted: true, Boot: "1f2e3d4c", MonoMS: 86_400_250}
	since := Time{Wall: "2026-11-22T04:20:22.000Z", Trusted: true, Boot: "1f2e3d4c", MonoMS: 86_355_000}
	bodies := map[Type]any{
		TypeAlert: Alert{
			Incident: "3f9c01d2a7e4", Class: "over_quota", Verdict: "confirmed", Since: since,
			Candidates: []Candidate{{Class: "over_quota", P: 0.97}, {Class: "arrears", P: 0.02}},
			Evidence:   []Evidence{{For: "over_quota", Fact: "usage reached 100 % of the plan 2 min before", Source: "meter", WeightDB: 20}},
			DecideBy:   "the SIM platform's status of this card (state and reason), or the operator's SMS",
			Act: &Action{Who: "owner", What: "Add data, or wait for the next billing cycle.", ResumesAt: "2026-12-01T00:00:00+08:00",
				Code: "over_quota", Steps: []string{"over_quota.1", "over_quota.2"}},
			Unstable: true, Lost: &Lost{PerHour: 1250, Decimals: 2, Currency: "156"},
		},
		TypeClear:   Clear{Incident: "3f9c01d2a7e4", Class: "over_quota", Since: since, LastedMS: 725_978_000, EndedBy: "cycle_start", FollowsTo: "weak_signal"},
		TypeWarning: Warning{Kind: "forecast", Percent: 80, UsedBytes: 25_165_824, QuotaBytes: 31_457_280, CycleStart: "2026-11-01", CycleEnd: "2026-11-30", ExhaustedOn: "2026-11-27", PlusMinusD: 1.5, Days: 5},
		TypeEvent:   MachineEvent{Name: "sale", Level: "info", Data: json.RawMessage(`{"slot":12,"fen":350,"paid":"wechat"}`)},
		TypeState: State{
			Class: "healthy", Verdict: "healthy", RSRP: ptr(-97.0), SINR: ptr(11.5), CSQ: ptr(18), RAT: "lte", PLMN: "46000",
			UsedBytes: 25_165_824, OwnBytes: 912_384, QuotaBytes: 31_457_280, Waiting: 3, UptimeS: 86_400,
			AgentV: "1.0.0", Modem: "EC20F", Counts: map[string]int{"air": 11_240, "reopens": 1, "unparsed": 4},
		},
		TypeGap:   Gap{Priority: "metric", Count: 412, FirstSeq: 1001, LastSeq: 1530, From: since, To: at, Reason: "full"},
		TypeReply: Reply{ID: "c-20261122-0007", OK: false, Error: ErrExpired.Error(), Result: json.RawMessage(`{"received":"2026-11-22T04:21:07Z"}`)},
		TypeUpdate: Update{Version: "v1.3.0", State: "waiting", Code: UpdateQuota, Detail: "21104882 of 30000000 bytes of the plan are used; updates stop at 70 %",
			Form: "delta", Have: 131_072, Size: 259_971, Runs: "v1.2.0", Command: "c-20261122-0007"},
		TypeInventory: Inventory{Why: "change", Changed: []string{"firmware"}, IDs: "hashed", ICCID: "5b1c9d0e7f3a2468", IMSI: "0a1b2c3d4e5f6071", IMEI: "9f8e7d6c5b4a3920",
			Maker: "Quectel", Model: "EC20F", Firmware: "EC20CEFAGR06A15M4G", Profile: "quectel", Board: "Raspberry Pi 3 Model B Plus", OS: "linux 6.1.0", Arch: "arm64",
			Agent: "1.0.0", Config: "7d3f11aa", Plan: "c0ffee01", APN: "cmiot", Carrier: "46000"},
		TypeCard:  CardChanged{IDs: "hashed", From: "5b1c9d0e7f3a2468", To: "1122334455667788", Known: true, Carrier: "46001"},
		TypeBlind: Blind{Incident: "77aa01d2a7e4", Why: BlindPortHeld, Since: since, Port: "/dev/ttyUSB2", Holder: "ModemManager", Over: true},
		TypeRecovery: Recovery{Incident: "3f9c01d2a7e4", Class: "modem_fault", Step: "module_reset", Rung: 2, Result: StepRefused, Why: "budget", TookMS: 21_000,
			Next: "power_cut", NextInS: 600},
		TypeAudit: MachineAudit{State: "window", Why: "counter_back", Source: "dex", From: &since, Sales: Sold{ptr(int64(12)), ptr(int64(2350))},
			Free: ptr(int64(2)), Test: ptr(int64(1)), Paid: map[string]Sold{"cash": {ptr(int64(7)), ptr(int64(1350))}, "cashless": {ptr(int64(5)), ptr(int64(1000))}},
			Selections: []SoldBy{{Selection: "11", Name: "CRISPS", Price: ptr(int64(150)), Free: ptr(int64(2)), Test: ptr(int64(1)),
				Paid: map[string]int64{"cash": 3, "cashless": 2}, Level: ptr(int64(6)), Sold: Sold{ptr(int64(5)), ptr(int64(750))}}},
			Total: Sold{ptr(int64(8161)), ptr(int64(816_100))}, Decimals: 2, Currency: "EUR", Tubes: ptr(int64(5850)), G85: "ok", Reconciled: true,
			Notes: []string{"interval_reset"}, Ref: "0a1b2c3d"},
		TypeAuditRaw: AuditRaw{Ref: "0a1b2c3d", Base: "4e5f6071", Part: 1, Parts: 1, Bytes: 7891, Deflate: []byte{0x73, 0x8f, 0x88, 0x02, 0x00}},
		TypeSale: Sale{Source: "mdb", Kind: "cashless", Selection: "12", Price: ptr(int64(350)), Raw: ptr(int64(35)), Decimals: ptr(2), Currency: "156",
			How: "reported"},
		TypeNotice: Notice{Incident: "5c0de1f2a7e4", Kind: "column_jam", Stands: true, How: "reported", Selection: "11", Code: "EJB_11", Source: "dex",
			Detail: "motor jam", Since: since},
		TypeLearned: Learned{Carrier: "46000", Said: "suspended_unspecified", Was: "over_quota", Confirmed: "cycle_start"},
	}
	out := map[string]Envelope{}
	for typ, body := range bodies {
		if v := reflect.ValueOf(body); hasZero(v) && typ != TypeReply {
			t.Fatalf("sample %s leaves a field unset: %+v", typ, body)
		}
		raw, err := NewBody(body)
		if err != nil {
			t.Fatal(err)
		}
		out[string(typ)] = Envelope{V: Version, Device: "cw-000123", Epoch: "9a0b1c2d", Seq: 1531, Type: typ, At: at, Body: raw}
	}
	return out
}

// sampleLast is the last words of a machine with a fault, every field set.
func sampleLast() Last {
	since := Time{Wall: "2026-11-22T04:20:22.000Z", Trusted: true, Boot: "1f2e3d4c", MonoMS: 86_355_000}
	return Last{V: Version, At: Time{Wall: "2026-11-22T04:21:07.250Z", Trusted: true, Boot: "1f2e3d4c", MonoMS: 86_400_250},
		Class: "over_quota", Verdict: "confirmed",
		Fault: &Standing{Incident: "3f9c01d2a7e4", Class: "over_quota", Verdict: "confirmed", Since: since, Who: "owner", Act: "over_quota",
			ResumesAt: "2026-12-01T00:00:00+08:00", Unstable: true},
		Blind: BlindPortHeld, Used: 31_457_280, Quota: 31_457_280, OnExhaust: "stop", Pool: true, Expires: "2027-06-30", RSRP: ptr(-97.0), RAT: "lte", PLMN: "46000",
		Waiting: 3, Agent: "1.0.0", Update: "fetching"}
}

func hasZero(v reflect.Value) bool {
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			return true
		}
	}
	return false
}

// goldens renders every message as it is on the wire: name to bytes and topic.
func goldens(t testing.TB) (map[string][]byte, map[string]string) {
	t.Helper()
	files, topics := map[string][]byte{}, map[string]string{}
	for name, e := range samples(t) {
		raw, err := MarshalEnvelope(e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		leaf, err := LeafFor(e.Type)
		if err != nil {
			t.Fatal(err)
		}
		files[name], topics[name] = raw, Topic{DefaultPrefix, e.Device, leaf}.String()
	}
	status := Topic{DefaultPrefix, "cw-000123", LeafStatus}.String()
	for name, s := range map[string]Status{
		"status_up":   {Up: true, Boot: "1f2e3d4c", MonoMS: 86_400_250},
		"status_will": {Boot: "1f2e3d4c", MonoMS: 86_400_250},
		"status_stop": {Why: "stop", Boot: "1f2e3d4c", MonoMS: 86_400_250},
	} {
		files[name], topics[name] = MarshalStatus(s), status
	}
	last, err := MarshalLast(sampleLast())
	if err != nil {
		t.Fatal(err)
	}
	files["last"], topics["last"] = last, Topic{DefaultPrefix, "cw-000123", LeafLast}.String()
	cmd, err := SignCommand(testKey, "cw-000123", Command{
		V: Version, ID: "c-20261122-0007", Expires: "2026-11-23T00:00:00Z", Do: "plan",
		Args: json.RawMessage(`{"quota_bytes": 31457280, "cycle_day": 1, "utc_offset": "+08:00", "on_exhaust": "stop"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if files["command"], err = MarshalCommand(cmd); err != nil {
		t.Fatal(err)
	}
	topics["command"] = Topic{DefaultPrefix, "cw-000123", LeafCommand}.String()
	return files, topics
}

func TestGoldens(t *testing.T) {
	files, topics := goldens(t)
	for typ := range bodies {
		if files[string(typ)] == nil {
			t.Errorf("type %q has no golden", typ)
		}
	}
	for name, raw := range files {
		path := filepath.Join("testdata", "golden", name+".json")
		if *update {
			if err := os.WriteFile(path, append(bytes.Clone(raw), '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want = bytes.TrimSuffix(want, []byte("\n")); !bytes.Equal(raw, want) {
			t.Errorf("%s: the wire changed; backends in the field read the old form.\nhave %s\nwant %s", name, raw, want)
		}
		switch {
		case name == "command":
			c, err := DecodeCommand(want)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if err := c.Verify("cw-000123", testPub); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case name == "last":
			l, err := DecodeLast(want)
			if err != nil || !reflect.DeepEqual(l, sampleLast()) {
				t.Errorf("%s: %+v, %v", name, l, err)
			}
		case strings.HasPrefix(name, "status_"):
			if _, err := DecodeStatus(want); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		default:
			list, err := DecodePublish(topics[name], want)
			if err != nil || len(list) != 1 {
				t.Errorf("%s: decoded %d, %v", name, len(list), err)
				continue
			}
			body, err := list[0].DecodeBody()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if again, _ := NewBody(body); !bytes.Equal(again, list[0].Body) {
				t.Errorf("%s: body changed on its way:\nhave %s\nwant %s", name, again, list[0].Body)
			}
		}
	}
	names, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(names) != len(files) {
		t.Errorf("%d golden files for %d messages (%v)", len(names), len(files), err)
	}
}

// TestReadme holds the tables of REFERENCE.md to the code and the goldens.
func TestReadme(t *testing.T) {
	have, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	want := fill(t, string(have), "topics", topicTable())
	want = fill(t, want, "examples", exampleText(t))
	want = fill(t, want, "up", fieldTables(t, "Envelope", "Time", "Status", "Last", "Standing", "Alert", "Candidate", "Evidence", "Action", "Clear", "Warning", "MachineEvent", "State", "Learned", "Update", "Inventory", "CardChanged", "Blind", "Recovery", "Gap", "Reply"))
	want = fill(t, want, "down", fieldTables(t, "Command", "PlanArgs", "Plan", "SIMStatus", "Neighbours", "ConfigArgs", "Settings", "TimeArgs", "UpdateArgs", "BundlePart"))
	if *update {
		if err := os.WriteFile("REFERENCE.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(have) != want {
		t.Error("REFERENCE.md does not show what the code does; run go test ./protocol -update and read the diff")
	}
}

func fill(t *testing.T, doc, block, text string) string {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- %s: generated -->\n", block), fmt.Sprintf("<!-- %s: end -->", block)
	i, j := strings.Index(doc, begin), strings.Index(doc, end)
	if i < 0 || j < i {
		t.Fatalf("REFERENCE.md has no %s block", block)
	}
	return doc[:i+len(begin)] + text + doc[j:]
}

func topicTable() string {
	var b strings.Builder
	b.WriteString("| topic | way | QoS | retained | carries | types |\n|---|---|---|---|---|---|\n")
	for _, row := range Leaves {
		way, retained, types := "up", "no", []string{}
		if row.Down {
			way = "down"
		}
		if row.Retained {
			retained = "yes"
		}
		for _, typ := range row.Types {
			types = append(types, "`"+string(typ)+"`")
		}
		if len(types) == 0 {
			types = []string{"no envelope"}
		}
		fmt.Fprintf(&b, "| `%s/<device>/%s` | %s | 1 | %s | %s | %s |\n", DefaultPrefix, row.Leaf, way, retained, row.What, strings.Join(types, " "))
	}
	return b.String()
}

// fieldTables is a table for each of the package's types, from their comments: a
// field without one fails.
func fieldTables(t *testing.T, names ...string) string {
	t.Helper()
	types := map[string]*ast.TypeSpec{}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	for _, path := range paths {
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				types[spec.Name.Name] = spec
			}
			return true
		})
	}
	var b strings.Builder
	for _, name := range names {
		var rows strings.Builder
		head := "**" + name + "**"
		for _, f := range types[name].Type.(*ast.StructType).Fields.List {
			if len(f.Names) == 0 {
				head += ", with the fields of " + f.Type.(*ast.Ident).Name
				continue
			}
			key, opt, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
			said := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
			if said == "" {
				t.Errorf("%s.%s says nothing of itself", name, f.Names[0])
			}
			maybe := ""
			if opt == "omitempty" {
				maybe = " ?"
			}
			fmt.Fprintf(&rows, "| `%s`%s | %s | %s |\n", key, maybe, jsonKind(t, f.Type), said)
		}
		fmt.Fprintf(&b, "%s\n\n| field | JSON | meaning |\n|---|---|---|\n%s\n", head, &rows)
	}
	return b.String()
}

// jsonKind is what a Go type is in JSON.
func jsonKind(t *testing.T, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.StarExpr:
		return jsonKind(t, e.X)
	case *ast.ArrayType:
		if id, ok := e.Elt.(*ast.Ident); ok && id.Name == "byte" {
			return "string"
		}
		return "list of " + jsonKind(t, e.Elt)
	case *ast.MapType:
		return "object of " + jsonKind(t, e.Value)
	case *ast.SelectorExpr: // json.RawMessage
		return "any"
	case *ast.Ident:
		switch e.Name {
		case "Type":
			return "string"
		case "int", "int64", "uint64", "float64":
			return "number"
		}
		return e.Name
	}
	t.Fatalf("%T", e)
	return ""
}

func exampleText(t *testing.T) string {
	files, topics := goldens(t)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, name := range names {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, files[name], "", "  "); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "`%s`, on `%s`, %d bytes:\n\n```json\n%s\n```\n\n", name, topics[name], len(files[name]), pretty.String())
	}
	return b.String()
}
