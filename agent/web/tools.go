package web

import (
	"context"
	"net/http"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
)

// exportFor bounds the export of the recorder: the ring, read from the flash.
const exportFor = 2 * time.Minute

// tools are the technician's: what only looks, and what does something.
func (s *site) tools(_, act localapi.Routes) {
	act["POST /bundle"] = s.bundle
	act["POST /did"] = s.did
	act["POST /repair"] = s.repair
}

func lang(r *http.Request) text.Lang { return text.Pick(r.URL.Query().Get("lang"), "") }

// can names what the backend is able to do; the page shows no other buttons.
func (s *site) can() []string {
	out := []string{"bundle"}
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
