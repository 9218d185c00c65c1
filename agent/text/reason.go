package text

import "strings"

// Reason is what an error of the layers below, which speak English to the log,
// tells a person: the words for the longest phrase of the table "err" that it
// contains, else the error itself.
func Reason(lang Lang, err string) string {
	found := ""
	for key := range load(known(lang)).one {
		phrase, ok := strings.CutPrefix(key, "err.")
		if ok && len(phrase) > len(found) && strings.Contains(err, phrase) {
			found = phrase
		}
	}
	if found == "" {
		return err
	}
	return T(lang, "err."+found)
}
