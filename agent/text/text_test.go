package text

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"cellwarden/agent/diag"
)

func both(t *testing.T) (en, zh *words) {
	t.Helper()
	en, err := parse("en.toml")
	if err != nil {
		t.Fatal(err)
	}
	zh, err = parse("zh.toml")
	if err != nil {
		t.Fatal(err)
	}
	return en, zh
}

// flat is every text of w, list entries as key[i].
func (w *words) flat() map[string]string {
	all := maps.Clone(w.one)
	for k, l := range w.list {
		for i, s := range l {
			all[k+"["+string(rune('0'+i))+"]"] = s
		}
	}
	return all
}

func TestBothLanguagesHaveTheSameKeysAndPlaceholders(t *testing.T) {
	en, zh := both(t)
	placeholder := regexp.MustCompile(`\{\d\}`)
	for _, pair := range []struct {
		name     string
		one, two *words
	}{{"en.toml has, zh.toml lacks", en, zh}, {"zh.toml has, en.toml lacks", zh, en}} {
		for k := range pair.one.one {
			if _, ok := pair.two.one[k]; !ok {
				t.Errorf("%s: %s", pair.name, k)
			}
		}
		for k, l := range pair.one.list {
			if len(pair.two.list[k]) == 0 {
				t.Errorf("%s: %s", pair.name, k)
			}
			if strings.Count(k, ".") == 2 && (len(l) < 3 || len(l) > 10) {
				t.Errorf("%s: %d steps, want 3 to 10", k, len(l))
			}
		}
	}
	for k, s := range en.one {
		a, b := placeholder.FindAllString(s, -1), placeholder.FindAllString(zh.one[k], -1)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%s: placeholders %v in English, %v in Chinese", k, a, b)
		}
	}
}

// A half-width mark beside a Han character, or a full-width one in English.
var (
	mixed = regexp.MustCompile(`\p{Han}[,:;!?()]|[,;!?()]\p{Han}|\p{Han}\.`)
	full  = regexp.MustCompile(`[，。：；！？（）]`)
	latin = regexp.MustCompile(`^[A-Za-z0-9 {}/%.:-]+$`)
)

func TestEveryTextIsWrittenInItsLanguage(t *testing.T) {
	en, zh := both(t)
	for k, s := range en.flat() {
		if strings.TrimSpace(s) != s || s == "" {
			t.Errorf("en %s: empty or padded %q", k, s)
		}
		if k != "ui.language" && (full.MatchString(s) || hasHan(s)) {
			t.Errorf("en %s: Chinese in %q", k, s)
		}
	}
	for k, s := range zh.flat() {
		if strings.TrimSpace(s) != s || s == "" {
			t.Errorf("zh %s: empty or padded %q", k, s)
		}
		if m := mixed.FindString(s); m != "" {
			t.Errorf("zh %s: half-width punctuation %q in %q", k, m, s)
		}
		if strings.Count(s, "（") != strings.Count(s, "）") {
			t.Errorf("zh %s: unpaired brackets in %q", k, s)
		}
		if strings.HasSuffix(k, ".who") && strings.HasPrefix(k, "class.") {
			continue // a code, not a word
		}
		if !hasHan(s) && !(latin.MatchString(s) && !strings.HasPrefix(k, "class.")) {
			t.Errorf("zh %s: no Chinese in %q", k, s)
		}
	}
}

func hasHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func TestEveryClassSaysWhatToDo(t *testing.T) {
	who := []string{"owner", "technician", "operator", "backend", "nobody"}
	if len(diag.Classes) != 25 {
		t.Fatalf("%d classes, want the 25 of causes.yaml", len(diag.Classes))
	}
	for _, code := range diag.Classes {
		en, zh := Class(EN, code), Class(ZH, code)
		for lang, c := range map[Lang]ClassText{EN: en, ZH: zh} {
			if c.Title == string(code) || c.Line == "" || c.What == "" || c.Returns == "" {
				t.Errorf("%s %s: incomplete: %+v", lang, code, c)
			}
			if len(c.Steps) < 3 || len(c.Steps) > 10 {
				t.Errorf("%s %s: %d steps, want 3 to 10", lang, code, len(c.Steps))
			}
			if !slices.Contains(who, c.Who) {
				t.Errorf("%s %s: who = %q", lang, code, c.Who)
			}
		}
		if en.Who != zh.Who {
			t.Errorf("%s: %s acts in English, %s in Chinese", code, en.Who, zh.Who)
		}
	}
	// No class is in the files that the code does not know.
	w, _ := both(t)
	for k := range w.one {
		if p := strings.Split(k, "."); p[0] == "class" && !slices.Contains(diag.Classes, diag.Code(p[1])) {
			t.Errorf("%s: no such class", k)
		}
	}
}

// What domain.md says of each cause must be what people read.
func TestFieldFactsInTheTexts(t *testing.T) {
	for _, tt := range []struct {
		code    diag.Code
		variant string
		en, zh  string
	}{
		{diag.Arrears, "", "resume", "复机"},
		{diag.OverQuota, "", "27th for China Unicom", "联通为 27 日"},
		{diag.OverQuota, "pool", "pool", "流量池"},
		{diag.OverQuota, "overage", "billed", "计费"},
		{diag.ExpiredOrCancelled, "", "three months", "三个月"},
		{diag.ExpiredOrCancelled, "cancelled", "Never.", "永远不会"},
		{diag.IMEILock, "", "two rebinds a month", "机卡绑定"},
		{diag.SIMAbsent, "", "reseat", "重新插拔 SIM 卡"},
		{diag.WeakSignal, "interference", "compressor", "压缩机"},
		{diag.SuspendedUnspecified, "", "AT+CFUN=0", "AT+CFUN=1"},
	} {
		for lang, want := range map[Lang]string{EN: tt.en, ZH: tt.zh} {
			c := Class(lang, tt.code, tt.variant)
			all := strings.Join(append(c.Steps, c.Title, c.Line, c.What, c.Returns), "\n")
			if !strings.Contains(all, want) {
				t.Errorf("%s %s %s: %q not in\n%s", lang, tt.code, tt.variant, want, all)
			}
		}
	}
}

func TestVariantReplacesOnlyWhatItSays(t *testing.T) {
	base, pool := Class(EN, diag.OverQuota), Class(EN, diag.OverQuota, "no_such_variant", "pool")
	if pool.Title == base.Title || pool.Who != base.Who || len(pool.Steps) == len(base.Steps) && pool.Steps[0] == base.Steps[0] {
		t.Errorf("pool = %+v", pool)
	}
	pool.Steps[0] = "changed"
	if Class(EN, diag.OverQuota, "pool").Steps[0] == "changed" {
		t.Error("the caller can change the table")
	}
	if c := Class(ZH, "no_such_class"); c.Title != "no_such_class" || c.Who != "technician" {
		t.Errorf("unknown class = %+v", c)
	}
}

func TestT(t *testing.T) {
	before := Missing()
	for _, tt := range []struct {
		lang Lang
		key  string
		args []string
		want string
	}{
		{EN, "layer.sim", nil, "SIM"},
		{ZH, "layer.radio", nil, "信号"},
		{EN, "ui.of", []string{"1 MB", "2 MB"}, "1 MB / 2 MB"},
		{EN, "ui.of", []string{"1 MB"}, "1 MB / ?"},
		{ZH, "ui.ended_by", []string{"@ended.cycle_start"}, "恢复原因：新计费周期开始"},
		{EN, "ui.ended_by", []string{"@no.such.key"}, "ended by: @no.such.key"},
		{"fr", "layer.sim", nil, "SIM"},
	} {
		if got := T(tt.lang, tt.key, tt.args...); got != tt.want {
			t.Errorf("T(%s, %s, %q) = %q, want %q", tt.lang, tt.key, tt.args, got, tt.want)
		}
	}
	if Missing() != before {
		t.Errorf("%d texts counted missing that exist", Missing()-before)
	}
	if got := T(ZH, "no.such.key"); got != "no.such.key" || Missing() != before+2 {
		t.Errorf("missing key: %q, counted %d times, want once for zh and once for en", got, Missing()-before)
	}
	if Word(ZH, "sim", "") != "未知" || Word(ZH, "sim", "melted") != "melted" || Word(EN, "reg", "denied") != "denied" {
		t.Error("Word: wrong fallback")
	}
}

func TestRender(t *testing.T) {
	for _, tt := range []struct {
		lang Lang
		in   diag.Text
		want string
	}{
		{ZH, diag.Text{Key: "evidence.used_up", Args: []string{"97"}, English: "usage 97 % of the plan"}, "已用套餐 97%，该套餐用尽即停"},
		{EN, diag.Text{Key: "evidence.signal_good", Args: []string{"very_weak", "-118 dBm"}}, "the signal is very weak (-118 dBm)"},
		{ZH, diag.Text{Key: "evidence.platform_quota", Args: []string{"data_cut", "quota"}}, "平台状态：断网（流量用尽）"},
		{ZH, diag.Text{Key: "evidence.unheard", English: "carried along"}, "carried along"},
		{ZH, diag.Text{Key: "unknown.platform", English: "x"}, "该卡在平台上的状态"},
		{ZH, diag.Text{English: "plain"}, "plain"},
		{ZH, diag.Text{}, ""},
	} {
		if got := Render(tt.lang, tt.in); got != tt.want {
			t.Errorf("Render(%s, %+v) = %q, want %q", tt.lang, tt.in, got, tt.want)
		}
	}
}

// Every rule that may be evidence has its sentence in both languages.
func TestEveryRuleHasItsSentence(t *testing.T) {
	if len(diag.DefaultWeights.Rule) < 100 {
		t.Fatalf("%d rules: is the table empty?", len(diag.DefaultWeights.Rule))
	}
	placeholder := regexp.MustCompile(`\{\d\}`)
	for rule := range diag.DefaultWeights.Rule {
		var found [][]string
		for _, lang := range Langs {
			s, ok := find(lang, "evidence."+rule)
			if !ok || s == "" || hasHan(s) != (lang == ZH) {
				t.Errorf("%s %s: %q", lang, rule, s)
			}
			p := placeholder.FindAllString(s, -1)
			slices.Sort(p)
			found = append(found, p)
		}
		if !slices.Equal(found[0], found[1]) {
			t.Errorf("%s: placeholders %v in English, %v in Chinese", rule, found[0], found[1])
		}
	}
}

func TestPick(t *testing.T) {
	for _, tt := range []struct {
		flag, env string
		want      Lang
	}{
		{"", "", EN}, {"", "zh_CN.UTF-8", ZH}, {"", "C", EN}, {"", "en_US.UTF-8", EN},
		{"zh", "en_US.UTF-8", ZH}, {"en", "zh_CN.UTF-8", EN}, {"ZH-CN", "", ZH}, {"fr", "zh_CN", EN},
	} {
		if got := Pick(tt.flag, tt.env); got != tt.want {
			t.Errorf("Pick(%q, %q) = %s, want %s", tt.flag, tt.env, got, tt.want)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse("zh.toml"); err != nil {
			b.Fatal(err)
		}
	}
}

// What lower layers say to the log, a person reads in words; the longest phrase wins.
func TestReason(t *testing.T) {
	for _, tt := range []struct{ err, en, zh string }{
		{"connect: dial tcp 10.83.0.1:1883: connect: connection refused", "refused: nothing serves at that port", "对方拒绝连接（服务没开或端口不对）"},
		{"dial tcp: i/o timeout", "no answer in time", "等不到对方回应（超时）"},
		{"dial tcp 10.0.0.1:1883: connect: network is unreachable", "no network", "没有可用的网络"},
		{"write /var/lib/x/seg-0001: no space left on device", "no space left", "存储空间用完"},
		{"check user and password in the config against the broker's", "bad user name or password", "用户名或密码不对"},
		{"something else", "something else", "something else"},
		{"", "", ""},
	} {
		if en, zh := Reason(EN, tt.err), Reason(ZH, tt.err); en != tt.en || zh != tt.zh {
			t.Errorf("%q: %q, %q; want %q, %q", tt.err, en, zh, tt.en, tt.zh)
		}
	}
	got := Render(ZH, diag.Text{Key: "evidence.port_lost", Args: []string{"no such modem on USB: no port of a known maker"}})
	if want := "模组端口消失：USB 上没有认得的模组（可在配置里写明 modem.port 或 modem.usb_vendor）"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestEveryRuleAndPhraseOfTheDiagnosisHasWords: what the diagnosis may say has
// words in each language, and no word is left over that it never says.
func TestEveryRuleAndPhraseOfTheDiagnosisHasWords(t *testing.T) {
	said := map[string]bool{}
	for rule := range diag.DefaultWeights.Rule {
		said["evidence."+rule] = true
	}
	files, err := filepath.Glob("../diag/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of the diagnosis: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && phrase.MatchString(lit.Value) {
				said[strings.Trim(lit.Value, `"`)] = true
			}
			return true
		})
	}
	if len(said) < 150 {
		t.Fatalf("only %d sentences found in the source", len(said))
	}
	en, zh := both(t)
	for key := range said {
		if en.one[key] == "" || zh.one[key] == "" {
			t.Errorf("%s is said and lacks words: %q, %q", key, en.one[key], zh.one[key])
		}
	}
	for key := range en.one {
		if table, _, _ := strings.Cut(key, "."); slices.Contains([]string{"evidence", "decide", "unknown", "detail"}, table) && !said[key] {
			t.Errorf("%s is said nowhere", key)
		}
	}
}

// phrase is a key of a sentence that is no evidence, as a literal in the source.
var phrase = regexp.MustCompile(`^"(decide|unknown|detail)\.[a-z0-9_]+"$`)
