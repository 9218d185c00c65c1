package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cellwarden/protocol"

	"github.com/BurntSushi/toml"
	"github.com/invopop/jsonschema"
	check "github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "rewrite the files of this package")

// base is where the schemas say that they live; nothing is fetched from it.
const base = "https://cellwarden.invalid/protocol/v1/"

// bodies are the messages with an envelope, by type.
var bodies = func() map[protocol.Type]any {
	m := map[protocol.Type]any{}
	for _, typ := range protocol.Types() {
		m[typ] = reflect.ValueOf(protocol.BodyOf(typ)).Elem().Interface()
	}
	return m
}()

// plain are the messages without one, by the name of their schema.
var plain = map[string]any{"status": protocol.Status{}, "last": protocol.Last{}}

// args are what a command takes, by its do.
var args = map[string]any{
	"plan": protocol.PlanArgs{}, "sim_status": protocol.SIMStatus{}, "neighbours": protocol.Neighbours{}, "config": protocol.ConfigArgs{},
	"time": protocol.TimeArgs{}, "update": protocol.UpdateArgs{},
}

var verdicts = []string{"confirmed", "likely", "undecided"}

// known are the values that a field takes today, by type and JSON name. Classes and
// acts come from acts.json.
func known(t *testing.T) map[string][]string {
	var classes, codes []string
	for code := range acts(t) {
		codes = append(codes, code)
		if !strings.Contains(code, ".") {
			classes = append(classes, code)
		}
	}
	slices.Sort(classes)
	slices.Sort(codes)
	well := append([]string{"healthy"}, verdicts...)
	who := []string{"owner", "technician", "operator", "backend", "nobody"}
	hidden := []string{"clear", "hashed", "none"}
	return map[string][]string{
		"Alert.class": classes, "Clear.class": classes, "Clear.next": classes, "Candidate.class": classes, "Evidence.for": classes, "State.class": classes,
		"Standing.class": classes, "Last.class": classes, "Recovery.class": classes, "Learned.said": classes, "Learned.was": classes,
		"Alert.verdict": verdicts, "Standing.verdict": verdicts, "State.verdict": well, "Last.verdict": well,
		"Action.who": who, "Standing.who": who, "Action.code": codes, "Standing.act": codes,
		"Clear.ended_by": {"recovered", "cycle_start", "sms_topup", "platform_resumed", "reseated", "backend", "superseded", "refined"},
		"Warning.kind":   {"threshold", "forecast", "unusual", "expiry", "retention", "restored", "certificate"},
		"State.rat":      {"gsm", "umts", "lte", "ltem", "nbiot", "nr"}, "Last.rat": {"gsm", "umts", "lte", "ltem", "nbiot", "nr"},
		"Gap.priority": {"alert", "event", "state", "metric"}, "Gap.reason": {"full", "damaged"},
		"Inventory.why": {"start", "change"}, "Inventory.ids": hidden, "CardChanged.ids": hidden,
		"Blind.why":       {protocol.BlindPortHeld, protocol.BlindNoPort, protocol.BlindNeverMet, protocol.BlindSilent},
		"Recovery.result": {protocol.StepHelped, protocol.StepNoHelp, protocol.StepFailed, protocol.StepRefused},
		"Status.why":      {"stop"}, "MachineEvent.level": {"info", "warn", "alert"}, "Last.on_exhaust": {"stop", "overage", "throttle"},
		"Plan.on_exhaust": {"stop", "overage", "throttle"}, "Update.code": protocol.UpdateCodes,
		"Update.state":       {"offered", "waiting", "fetching", "installed", "confirmed", "refused", "rolled_back"},
		"MachineAudit.state": {"baseline", "window", "repeated"},
		"MachineAudit.g85":   {"ok", "swapped", "no_last_crlf", "mismatch", "missing"},
		"Sale.kind":          {"cashless", "cashless2", "cash", "token", "free", "test"},
		"Sale.how":           {"reported", "inferred"},
		"Notice.how":         {"reported", "derived", "inferred"},
		"Notice.kind": {"silent_seller", "sold_out", "low", "column_jam", "tubes_low", "coin_fault", "bill_fault", "cashless_fault", "cash_box_full",
			"cash_box_out", "door_open", "temperature", "board_changed", "machine_silent", "audit_unreconciled", "counts_differ"},
		"Command.do": {"plan", "sim_status", "neighbours", "diagnose", "report", "bundle", "confirm", "time", "config", "update", "audit"},
	}
}

// acts are the words of every class and variant, in both languages: code to language
// to words.
func acts(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, lang := range []string{"en", "zh"} {
		var doc struct {
			Class map[string]any `toml:"class"`
		}
		if _, err := toml.DecodeFile("../../agent/text/"+lang+".toml", &doc); err != nil {
			t.Fatal(err)
		}
		var walk func(code string, table map[string]any)
		walk = func(code string, table map[string]any) {
			words := map[string]any{}
			for k, v := range table {
				if sub, ok := v.(map[string]any); ok {
					walk(strings.TrimPrefix(code+"."+k, "."), sub)
				} else if k == "title" || k == "what" || k == "steps" || k == "returns" {
					words[k] = v
				}
			}
			if len(words) > 0 {
				if out[code] == nil {
					out[code] = map[string]any{}
				}
				out[code][lang] = words
			}
		}
		walk("", doc.Class)
	}
	return out
}

// generate makes every file.
func generate(t *testing.T) map[string][]byte {
	t.Helper()
	r := &jsonschema.Reflector{AllowAdditionalProperties: true, Anonymous: true}
	if err := r.AddGoComments("cellwarden/protocol", ".."); err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for k, v := range r.CommentMap {
		if name, ours := strings.CutPrefix(k, "cellwarden."); ours { // what lies below package protocol is not of the wire
			comments["cellwarden/protocol."+name] = v
		}
	}
	r.CommentMap = comments
	values := known(t)
	of := func(v any) map[string]any {
		raw, err := json.Marshal(r.Reflect(v))
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	used := map[string]bool{}
	mark := func(defs map[string]any) {
		for name, d := range defs {
			props, _ := d.(map[string]any)["properties"].(map[string]any)
			for field, p := range props {
				key := name + "." + field
				if list, ok := values[key]; ok {
					used[key] = true
					p.(map[string]any)["x-known"] = list
				}
				if p.(map[string]any)["description"] == nil && p.(map[string]any)["$ref"] == nil {
					t.Errorf("%s says nothing of itself", key)
				}
			}
		}
	}
	files := map[string][]byte{}
	write := func(name string, v any) {
		raw, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = append(raw, '\n')
	}
	whole := func(name, title string, root map[string]any) map[string]any {
		defs, _ := root["$defs"].(map[string]any)
		mark(defs)
		root["$id"], root["title"] = base+name+".json", title
		return root
	}
	for typ, body := range bodies {
		env, inner := of(protocol.Envelope{}), of(body)
		defs := env["$defs"].(map[string]any)
		maps.Copy(defs, inner["$defs"].(map[string]any))
		props := defs["Envelope"].(map[string]any)["properties"].(map[string]any)
		props["body"] = map[string]any{"$ref": inner["$ref"]}
		props["type"].(map[string]any)["const"] = string(typ)
		write(string(typ)+".json", whole(string(typ), "cellwarden "+string(typ), env))
	}
	for name, v := range plain {
		write(name+".json", whole(name, "cellwarden "+name, of(v)))
	}
	cmd := of(protocol.Command{})
	defs := cmd["$defs"].(map[string]any)
	var cases []any
	for _, do := range slices.Sorted(maps.Keys(args)) {
		inner := of(args[do])
		maps.Copy(defs, inner["$defs"].(map[string]any))
		cases = append(cases, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"do": map[string]any{"const": do}}},
			"then": map[string]any{"properties": map[string]any{"args": map[string]any{"$ref": inner["$ref"]}}},
		})
	}
	cmd["allOf"] = cases
	write("command.json", whole("command", "cellwarden command", cmd))
	write("acts.json", acts(t))
	for key := range values {
		if !used[key] && !strings.HasPrefix(key, "Plan.") {
			t.Errorf("known values of %s, which is no field", key)
		}
	}
	write("asyncapi.json", asyncAPI(t, files))
	return files
}

func TestFilesAreWhatTheTypesSay(t *testing.T) {
	files := generate(t)
	for name, want := range files {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if have, err := os.ReadFile(name); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not what the Go types and agent/text say; run go test ./protocol/schema -update and read the diff (%v)", name, err)
		}
	}
	here, err := filepath.Glob("*.json")
	if err != nil || !*update && len(here) != len(files) {
		t.Errorf("%d files, want %d (%v)", len(here), len(files), err)
	}
}

// compile reads one schema, open or closed.
func compile(t *testing.T, name string, strict bool) *check.Schema {
	t.Helper()
	raw, err := Files.ReadFile(name + ".json")
	if strict {
		raw, err = Strict(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	doc, err := check.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := check.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("x.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("x.json")
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// goldens are the examples of package protocol: file to the name of its schema.
func goldens(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../testdata/" + dir + "/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range paths {
		name := strings.TrimSuffix(filepath.Base(p), ".json")
		if strings.HasPrefix(name, "status_") {
			name = "status"
		}
		out[p] = name
	}
	return out
}

// The examples pass, also those of the first devices; a wrong type, a missing field
// and (closed) an unknown field or value do not.
func TestExamplesFitTheSchemas(t *testing.T) {
	for _, dir := range []string{"golden", "older"} {
		for path, name := range goldens(t, dir) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := check.UnmarshalJSON(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			open, strict := compile(t, name, false), compile(t, name, true)
			if err := open.Validate(doc); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if err := strict.Validate(doc); err != nil {
				t.Errorf("%s, closed: %v", path, err)
			}
			m := doc.(map[string]any)
			for what, spoil := range map[string]func(){
				"a missing v": func() { delete(m, "v") }, "a v of text": func() { m["v"] = "1" },
			} {
				was := m["v"]
				spoil()
				if open.Validate(m) == nil {
					t.Errorf("%s passes with %s", path, what)
				}
				m["v"] = was
			}
			m["newer"] = true
			if err := open.Validate(m); err != nil {
				t.Errorf("%s: a field of a later device is refused: %v", path, err)
			}
			if strict.Validate(m) == nil {
				t.Errorf("%s: the closed schema takes an unknown field", path)
			}
		}
	}
	alert := compile(t, "alert", true)
	raw, err := os.ReadFile("../testdata/golden/alert.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := check.UnmarshalJSON(bytes.NewReader(bytes.ReplaceAll(raw, []byte(`"owner"`), []byte(`"somebody"`))))
	if err != nil {
		t.Fatal(err)
	}
	if alert.Validate(doc) == nil {
		t.Error("the closed schema takes a who that is not listed")
	}
}

// asyncAPI is the one document of the contract: topics, both directions, examples.
func asyncAPI(t *testing.T, files map[string][]byte) any {
	t.Helper()
	type m = map[string]any
	examples := map[string][]any{}
	paths := goldens(t, "golden")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		examples[paths[path]] = append(examples[paths[path]], m{"name": strings.TrimSuffix(filepath.Base(path), ".json"), "payload": v})
	}
	messages, channels, operations := m{}, m{}, m{}
	add := func(name, summary string) any {
		var s any
		if err := json.Unmarshal(files[name+".json"], &s); err != nil {
			t.Fatal(err)
		}
		messages[name] = m{"name": name, "summary": summary, "contentType": "application/json", "examples": examples[name],
			"payload": m{"schemaFormat": "application/schema+json;version=draft-07", "schema": localRefs(s)}}
		return m{"$ref": "#/components/messages/" + name}
	}
	for _, row := range protocol.Leaves {
		id := map[protocol.Leaf]string{"a": "alerts", "e": "events", "s": "states", "m": "stream", "r": "replies", "w": "status", "l": "last", "d": "commands"}[row.Leaf]
		if id == "" {
			t.Fatalf("leaf %q has no name", row.Leaf)
		}
		var names []string
		for _, typ := range row.Types {
			names = append(names, string(typ))
		}
		switch row.Leaf {
		case protocol.LeafStatus, protocol.LeafLast:
			names = []string{id}
		case protocol.LeafCommand:
			names = []string{"command"}
		}
		refs, opRefs := m{}, []any{}
		for _, name := range names {
			summary := "see its schema"
			if v := bodies[protocol.Type(name)]; v != nil {
				summary = "an envelope whose body is " + reflect.TypeOf(v).Name()
			}
			refs[name] = add(name, summary)
			opRefs = append(opRefs, m{"$ref": "#/channels/" + id + "/messages/" + name})
		}
		channels[id] = m{"address": protocol.DefaultPrefix + "/{device}/" + string(row.Leaf), "title": row.What, "messages": refs,
			"parameters": m{"device": m{"description": "the device's id: 1 to 64 of A-Z a-z 0-9 _ : -"}}}
		// As the backend sees it: it receives what goes up and sends what goes down.
		action, retain := "receive", row.Retained
		if row.Down {
			action = "send"
		}
		operations[action+"_"+id] = m{"action": action, "channel": m{"$ref": "#/channels/" + id}, "messages": opRefs,
			"bindings": m{"mqtt": m{"qos": 1, "retain": retain, "bindingVersion": "0.2.0"}}}
	}
	return m{
		"asyncapi": "3.0.0",
		"info": m{"title": "cellwarden", "version": "1.0.0", "license": m{"name": "as the project"},
			"description": "What crosses the wire between a device and its backend, as the backend sees it. A payload is one JSON message, or on the topics of envelopes also a batch: gzip over one message a line. protocol/REFERENCE.md says the rest."},
		"defaultContentType": "application/json",
		"servers":            m{"broker": m{"host": "broker.example.org:8883", "protocol": "secure-mqtt", "protocolVersion": "3.1.1"}},
		"channels":           channels, "operations": operations, "components": m{"messages": messages},
	}
}

// localRefs puts the definitions of a schema in their places: in one document they
// would clash. Ours do not refer to themselves.
func localRefs(doc any) any {
	defs, _ := doc.(map[string]any)["$defs"].(map[string]any)
	var in func(v any) any
	in = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			out := map[string]any{}
			if ref, ok := v["$ref"].(string); ok { // what stands beside it says more
				maps.Copy(out, in(defs[strings.TrimPrefix(ref, "#/$defs/")]).(map[string]any))
			}
			for k, child := range v {
				if k != "$ref" && k != "$defs" && k != "$schema" && k != "$id" {
					out[k] = in(child)
				}
			}
			return out
		case []any:
			out := make([]any, len(v))
			for i, child := range v {
				out[i] = in(child)
			}
			return out
		}
		return v
	}
	return in(doc)
}

// The document is valid by AsyncAPI's own schema: an independent validator (ajv, with
// the schema of @asyncapi/specs, both of npm) says so. scripts/test-deps.sh fetches them.
func TestAsyncAPIIsValid(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED, NOT PROVED: node is missing, so no independent validator read asyncapi.json")
	}
	dir := os.Getenv("CELLWARDEN_NPM")
	if dir == "" {
		dir = "/var/cache/cellwarden-npm"
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@asyncapi", "parser")); err != nil {
		t.Skip("SKIPPED, NOT PROVED: @asyncapi/parser is missing (scripts/test-deps.sh installs it)")
	}
	file, err := filepath.Abs("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	script := `
const {Parser} = require('@asyncapi/parser'); const fs = require('fs');
const text = fs.readFileSync(process.argv[1], 'utf8');
const run = async (what, t) => { const {document, diagnostics} = await new Parser().parse(t);
  const bad = diagnostics.filter(d => d.severity === 0); console.log(what, document ? 'valid' : 'invalid', bad.length);
  if (what === 'ours') for (const d of bad) console.log(d.path.join('/'), d.message); };
(async () => { await run('ours', text); const o = JSON.parse(text); o.operations.receive_alerts.action = 'shout'; await run('spoiled', JSON.stringify(o)); })();`
	cmd := exec.Command(node, "-e", script, file)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ours valid 0\n") || !strings.Contains(string(out), "spoiled invalid") {
		t.Errorf("%v\n%s", err, out)
	}
}
