package device

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"intercom/device/setup"
)

// Kiosk serves a page on the station's own screen: the same actions as the control API, and what happens as server-sent
// events (WHATWG HTML, section 9.2). Everything needs the token, as "Authorization: Bearer TOKEN", or in the cookie
// that POST /v1/session gives for it, since a page cannot give its EventSource a header.
//
//	POST /v1/session  → a cookie, with the token in the header
//	GET  /v1/status   how it is
//	GET  /v1/events   what happens; the first event, "status", is how it is
//	POST /v1/…        as in the control API, but for press
func (d *Device) Kiosk(control http.Handler) http.Handler {
	k := &kiosk{d: d, Kiosk: &d.cfg.Kiosk}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", control.ServeHTTP)
	mux.HandleFunc("GET /v1/events", k.events)
	mux.HandleFunc("POST /v1/session", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: kioskCookie, Value: k.Token().Reveal(), Path: "/",
			HttpOnly: true, SameSite: http.SameSiteStrictMode})
		w.WriteHeader(http.StatusNoContent)
	})
	for _, action := range []string{
		"call", "answer", "decline", "hangup", "mute", "volume", "dnd", "privacy", "door", "selftest",
	} {
		mux.HandleFunc("POST /v1/"+action, control.ServeHTTP)
	}
	return k.guard(mux)
}

// kiosk is the control API as the page may use it.
type kiosk struct {
	*setup.Kiosk
	d *Device
}

const kioskCookie = "intercom_kiosk"

// guard lets through who has the token and comes from the page's origin.
func (k *kiosk) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin != "" && origin != k.Origin && origin != "http://"+k.Listen {
			http.Error(w, "a page from "+origin+" may not talk to this station; see kiosk.origin", http.StatusForbidden)
			return
		}
		if origin == k.Origin && origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Vary", "Origin")
			if r.Method == http.MethodOptions {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if c, err := r.Cookie(kioskCookie); err == nil && token == "" && r.URL.Path != "/v1/session" {
			token = c.Value
		}
		if subtle.ConstantTimeCompare([]byte(token), []byte(k.Token().Reveal())) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong; it is in kiosk.token_file", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// stillThere is how often something is sent to a page while nothing happens.
const stillThere = 15 * time.Second

func (k *kiosk) events(w http.ResponseWriter, r *http.Request) {
	events, leave, err := k.d.Follow(r.Context())
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := endless(w)
	send := func(name string, v any) bool {
		inTime(flush)
		b, err := json.Marshal(v)
		if err == nil {
			_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b)
		}
		return err == nil && flush.Flush() == nil
	}
	if s, err := k.d.Status(r.Context()); err != nil || !send("status", s) {
		return
	}
	tick := time.NewTicker(stillThere)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			inTime(flush)
			if _, err := fmt.Fprint(w, ": still there\n\n"); err != nil || flush.Flush() != nil {
				return
			}
		case e, ok := <-events:
			if !ok || !send(e.Event, e) {
				return
			}
		}
	}
}
