package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// exportFor bounds the export of the recorder: the ring, read from the flash.
const exportFor = 2 * time.Minute

// tools are the technician's: what only looks, and what does something.
func (s *site) tools(read, act localapi.Routes) {
	read["GET /plot"] = s.plot
	read["GET /log"] = s.log
	read["GET /v1/line"] = s.line
	act["POST /identities"] = s.identities
	act["POST /handover"] = s.handover
	act["POST /qr"] = s.qr
	act["POST /aim"] = s.aim
	act["POST /bundle"] = s.bundle
	act["POST /did"] = s.did
	act["POST /repair"] = s.repair
}

func lang(r *http.Request) text.Lang { return text.Pick(r.URL.Query().Get("lang"), "") }

// can names what the backend is able to do; the page shows no other buttons.
func (s *site) can() []string {
	out := []string{"bundle", "handover"}
	if _, ok := s.Backend.(localapi.Chronicled); ok {
		out = append(out, "log")
	}
	if _, ok := s.Backend.(localapi.Identified); ok {
		out = append(out, "identities")
	}
	if _, ok := s.Backend.(localapi.Aimed); ok {
		out = append(out, "aim")
	}
	if _, ok := s.Backend.(localapi.Workshop); ok {
		out = append(out, "work")
	}
	return out
}

// bundle is the support bundle as a file.
func (s *site) bundle(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), exportFor)
	defer cancel()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportFor))
	if err := s.Backend.Record(ctx, w); err != nil {
		// What was sent is cut off: break the connection, so that it never looks whole.
		panic(http.ErrAbortHandler)
	}
}

// workshop asks the backend for something that only a whole agent can do.
func (s *site) workshop(w http.ResponseWriter, r *http.Request, do func(context.Context, localapi.Workshop) error) {
	shop, ok := s.Backend.(localapi.Workshop)
	if !ok {
		refuse(w, lang(r), localapi.ErrUnsupported)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	if err := do(ctx, shop); err != nil {
		refuse(w, lang(r), err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// did records what a technician did and has the layers looked at again.
func (s *site) did(w http.ResponseWriter, r *http.Request) {
	var d localapi.Deed
	if !body(w, r, &d) {
		return
	}
	if err := d.Check(); err != nil {
		refuse(w, lang(r), err)
		return
	}
	s.workshop(w, r, func(ctx context.Context, shop localapi.Workshop) error { return shop.Did(ctx, d.What) })
}

// repair begins or ends repair mode.
func (s *site) repair(w http.ResponseWriter, r *http.Request) {
	var m localapi.RepairMode
	if body(w, r, &m) {
		s.workshop(w, r, func(ctx context.Context, shop localapi.Workshop) error { return shop.Repair(ctx, m.On) })
	}
}

// chronicle asks for the diary.
func (s *site) chronicle(r *http.Request) (localapi.Chronicle, error) {
	c, ok := s.Backend.(localapi.Chronicled)
	if !ok {
		return localapi.Chronicle{}, localapi.ErrUnsupported
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	return c.Chronicle(ctx, time.Time{})
}

// plot is a drawing of the signal or of the usage; 204 where there is nothing to draw.
func (s *site) plot(w http.ResponseWriter, r *http.Request) {
	drawn := ""
	switch r.URL.Query().Get("of") {
	case "signal":
		c, err := s.chronicle(r)
		if err != nil {
			refuse(w, lang(r), err)
			return
		}
		drawn = signalPlot(lang(r), s.Location, c.Levels)
	case "usage":
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		u, err := s.Backend.Usage(ctx)
		if err == nil {
			var h localapi.History
			if h, err = s.Backend.History(ctx, "day", plotDays); err == nil {
				drawn = usagePlot(lang(r), u, h, s.now(ctx))
			}
		}
		if err != nil && !errors.Is(err, localapi.ErrNoUsage) {
			refuse(w, lang(r), err)
			return
		}
	}
	if drawn == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	sendSVG(w, drawn)
}

// plotDays is the longest cycle that is drawn.
const plotDays = 93

// now is the time as the agent has it, which knows whether its clock is right.
func (s *site) now(ctx context.Context) time.Time {
	st, err := s.Backend.Status(ctx)
	if err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, st.At.Wall)
	if err != nil {
		return time.Time{}
	}
	return t
}

func sendSVG(w http.ResponseWriter, drawn string) {
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, drawn) // an error here means that the browser has gone
}

// log is the diary in words, the newest first.
func (s *site) log(w http.ResponseWriter, r *http.Request) {
	c, err := s.chronicle(r)
	if err != nil {
		refuse(w, lang(r), err)
		return
	}
	events := view.Chronicle(lang(r), s.Location, c.Entries)
	slices.Reverse(events)
	answer(w, map[string]any{"entries": events})
}

// identity is one number in full.
type identity struct {
	Key   string `json:"key"`
	Label string `json:"label"`
	Value string `json:"value"`
}

func (s *site) known(r *http.Request) ([]identity, error) {
	i, ok := s.Backend.(localapi.Identified)
	if !ok {
		return nil, localapi.ErrUnsupported
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	all, err := i.Identities(ctx)
	if err != nil {
		return nil, err
	}
	out := []identity{}
	for _, x := range []identity{{"iccid", "ICCID", all.ICCID}, {"imei", "IMEI", all.IMEI}} {
		if x.Value != "" {
			out = append(out, x)
		}
	}
	return out, nil
}

// identities are the full numbers, for somebody who may act: a POST, so that no cache
// and no foreign page gets them.
func (s *site) identities(w http.ResponseWriter, r *http.Request) {
	all, err := s.known(r)
	if err != nil {
		refuse(w, lang(r), err)
		return
	}
	answer(w, map[string]any{"rows": all})
}

// handedOver is the case in words.
func (s *site) handedOver(r *http.Request) (string, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	st, err := s.Backend.Status(ctx)
	if err != nil {
		return "", err
	}
	return view.Build(lang(r), s.Location, st).Handover(), nil
}

func (s *site) handover(w http.ResponseWriter, r *http.Request) {
	said, err := s.handedOver(r)
	if err != nil {
		refuse(w, lang(r), err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, said) // an error here means that the browser has gone
}

// qr is the case, or one number, as a code for a phone's camera.
func (s *site) qr(w http.ResponseWriter, r *http.Request) {
	of, said := r.URL.Query().Get("of"), ""
	var err error
	if of == "handover" {
		said, err = s.handedOver(r)
	} else {
		var all []identity
		all, err = s.known(r)
		for _, x := range all {
			if x.Key == of {
				said = x.Value
			}
		}
	}
	if err != nil {
		refuse(w, lang(r), err)
		return
	}
	drawn, err := qrSVG(said)
	if err != nil || said == "" {
		http.NotFound(w, r)
		return
	}
	sendSVG(w, drawn)
}

// aim has the level read every second, or ends that.
func (s *site) aim(w http.ResponseWriter, r *http.Request) {
	a, ok := s.Backend.(localapi.Aimed)
	if !ok {
		refuse(w, lang(r), localapi.ErrUnsupported)
		return
	}
	d := localapi.AimFor
	if r.URL.Query().Get("off") != "" {
		d = 0
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	if err := a.Aim(ctx, d); err != nil {
		refuse(w, lang(r), err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// line is the whole state in one line of text, for a display of the machine's own.
func (s *site) line(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	st, err := s.Backend.Status(ctx)
	if err != nil {
		refuse(w, lang(r), err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, view.Line(lang(r), st)+"\n") // an error here means that the browser has gone
}
