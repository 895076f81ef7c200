package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"intercom/internal/fault"
	"intercom/wire"
)

// Refuse answers a request with an error.
func Refuse(w http.ResponseWriter, err *fault.Error) {
	if err.Code == fault.RateLimited {
		w.Header().Set("Retry-After", strconv.FormatInt(max(1, (err.RetryAfterMS+999)/1000), 10))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(err.Status())
	_ = json.NewEncoder(w).Encode(err)
}

// answer writes JSON that nobody keeps.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// body reads a small JSON body; what says what it must be.
func body(w http.ResponseWriter, r *http.Request, v any, what string) *fault.Error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, wire.MaxBeforeSignIn)).Decode(v)
	switch {
	case err == nil:
		return nil
	case r.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		return fault.In(fault.RateLimited, "",
			"The body did not come in time, or too many requests of this address wait at once; send it whole.")
	}
	return fault.In(fault.BadMessage, "", "%s", what)
}

// sameOrigin refuses what a page of another site sends (RFC 6454).
func sameOrigin(r *http.Request) *fault.Error {
	if o := r.Header.Get("Origin"); o != "" {
		if u, err := url.Parse(o); err != nil || u.Host != r.Host {
			return fault.In(fault.NotAllowed, "", "The request comes from a page of another site.")
		}
	}
	return nil
}
