package explain

import (
	"regexp"
	"testing"

	"cellwarden/agent/text"
)

// TestChineseSentencesHoldNoEnglishCodes: what the agent names by a code is said
// in words in both languages; what modems and hosts wrote stays as it is.
func TestChineseSentencesHoldNoEnglishCodes(t *testing.T) {
	codes := regexp.MustCompile(`\b(home|camped|roaming|own|third_party|refused|nxdomain|timeout|undervoltage|overheated|no card|suspended|data_cut|arrears|quota|manual|excellent|good|fair|weak|poor|services not allowed|not subscribed)\b`)
	n := 0
	for _, file := range allFiles {
		for _, l := range load(t, file) {
			a := AnswerOf(l.ID, Judge(l.Case, nil), text.ZH)
			lines := append([]string{a.Detail, a.DecideBy, a.Act.What}, a.Unknown...)
			for _, e := range append(a.Evidence, a.Against...) {
				lines = append(lines, e.Fact)
			}
			for _, s := range lines {
				if n++; codes.MatchString(s) {
					t.Errorf("%s: %q", l.ID, s)
				}
			}
		}
	}
	if n < 2000 {
		t.Errorf("only %d sentences", n)
	}
}
