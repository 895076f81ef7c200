package api

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"intercom/hub/record"
	"intercom/internal/fault"
	"intercom/internal/outcome"
)

// records are read by operators and by programs.
type records struct {
	Settings
	operators *operators
	reading   chan struct{} // room for those who read files
}

// reader finds whose records a request may read: an operator's by the cookie, a program's by the API key. It has
// answered where it finds nobody.
func (s *records) reader(w http.ResponseWriter, r *http.Request) (account string, ok bool) {
	if o, _, ok := s.operators.of(r); ok {
		return o.Account, s.mayAsk(w, o.Account)
	}
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if account = r.URL.Query().Get("account"); key == "" {
		Refuse(w, fault.In(fault.Credentials, "", "Sign in, or send the API key as Authorization: Bearer."))
		return "", false
	}
	if _, ok := s.Access.Allowed(account, key); !ok {
		s.Guard.Wrong(r)
		Refuse(w, fault.New(fault.Credentials))
		return "", false
	}
	s.Guard.Proved(r)
	return account, s.mayAsk(w, account)
}

// inTurn waits for its turn to read files: who asks for much must not take the processor from calls. The turn is over
// before the answer is written, so that who takes that slowly keeps nobody waiting; a question reads 8 MiB at most.
func inTurn[T any](s *records, read func() (T, error)) (T, error) {
	s.reading <- struct{}{}
	defer func() { <-s.reading }()
	return read()
}

// mayAsk lets an account ask now and then: an answer takes a look at many records.
func (s *records) mayAsk(w http.ResponseWriter, account string) bool {
	err := s.Guard.MayAsk(account)
	if err != nil {
		Refuse(w, err)
	}
	return err == nil
}

// calls gives a page of call records.
func (s *records) calls(w http.ResponseWriter, r *http.Request) {
	account, ok := s.reader(w, r)
	if !ok {
		return
	}
	f, err := filterOf(r.URL.Query())
	if err != nil {
		Refuse(w, err)
		return
	}
	f.Account, f.Most = account, record.Most
	page, qerr := inTurn(s, func() (record.Page, error) { return s.Calls(f) })
	if qerr != nil {
		s.Log.Warn("the call records cannot be read", "err", qerr)
		Refuse(w, fault.New(fault.HubDegraded))
		return
	}
	if page.Records == nil {
		page.Records = []record.Record{}
	}
	answer(w, page)
}

// notes gives the newest notes, of one station where the request names it.
func (s *records) notes(w http.ResponseWriter, r *http.Request) {
	account, ok := s.reader(w, r)
	if !ok {
		return
	}
	limit, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("limit"), "100"))
	if err != nil || limit < 1 || limit > record.MostNotes {
		Refuse(w, fault.In(fault.BadMessage, "limit", "The limit is 1 to %d.", record.MostNotes))
		return
	}
	all, err := inTurn(s, func() ([]record.Note, error) {
		return s.Notes(account, r.URL.Query().Get("station"), limit)
	})
	if err != nil {
		s.Log.Warn("the notes cannot be read", "err", err)
		Refuse(w, fault.New(fault.HubDegraded))
		return
	}
	if all == nil {
		all = []record.Note{}
	}
	answer(w, map[string]any{"notes": all})
}

// expected gives the stations that must be there.
func (s *records) expected(w http.ResponseWriter, r *http.Request) {
	account, ok := s.reader(w, r)
	if !ok {
		return
	}
	type station struct {
		CUID          string `json:"cuid"`
		SilentAfterMS int64  `json:"silent_after_ms"` // then it is an alarm
	}
	all := []station{}
	if a := s.Access.Account(account); a != nil {
		for _, s := range a.Stations {
			all = append(all, station{s.CUID, s.SilentAfter.Std().Milliseconds()})
		}
	}
	answer(w, map[string]any{"stations": all})
}

const maxPage = 1000

// filterOf reads cuid, status, reason, since, until (RFC 3339), after and limit.
func filterOf(q url.Values) (record.Filter, *fault.Error) {
	f := record.Filter{
		CUID: q.Get("cuid"), After: q.Get("after"),
		Status: outcome.Status(q.Get("status")), Reason: outcome.Reason(q.Get("reason")),
	}
	if f.Status != "" && outcome.Reasons(f.Status) == nil {
		return f, fault.In(fault.BadMessage, "status",
			"The status must be over, declined, missed, cancelled or failed.")
	}
	for name, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return f, fault.In(fault.BadMessage, name, "A time is written like 2026-01-02T03:04:05Z.")
			}
			*at = t
		}
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return f, fault.In(fault.BadMessage, "limit", "The limit is 1 to %d.", maxPage)
		}
		f.Limit = n
	}
	if err := f.Check(); err != nil {
		return f, fault.In(fault.BadMessage, "after", "The place of the next page is not one that was given out.")
	}
	return f, nil
}
