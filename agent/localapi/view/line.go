package view

import (
	"fmt"
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
)

// DisplayCode is what a lamp or a two-digit display shows of a class: "E07" is the
// eighth of the table of classes, of which new ones come last; "OK" is health.
func DisplayCode(class diag.Code) string {
	switch i := slices.Index(diag.Classes, class); {
	case class == diag.Healthy:
		return "OK "
	case i < 0:
		return "E--"
	default:
		return fmt.Sprintf("E%02d", i+1)
	}
}

// Line is the whole state in one line, for a display of the machine's own: the code,
// then the verdict in a few words.
func Line(lang text.Lang, s localapi.Status) string {
	p := Build(lang, time.UTC, s)
	return DisplayCode(s.Diagnosis.Class) + " " + p.Title
}
