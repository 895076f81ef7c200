package access

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"intercom/internal/durable"
)

// Ended knows the operators' sessions that were ended before their time, until that time is past: a cookie is signed
// and kept nowhere, so signing out has to be remembered. It is on disk, and hubs of a cluster tell one another.
type Ended struct {
	file string // "" for none

	mu     sync.Mutex
	single map[operator]map[End]bool
	before map[operator]int64 // all sessions of an operator that end by then
	dirty  bool               // the file is behind
}

type operator struct{ account, user string }

// End is the end of one session. Without a Session it is the end of all of the operator's that end by Until.
type End struct {
	Account string `json:"a"`
	User    string `json:"u"`
	Session string `json:"s,omitempty"`
	Until   int64  `json:"x"` // when it would have ended anyway, in seconds since the epoch
}

func (e End) whose() operator { return operator{e.Account, e.User} }

// MostEnds is how many of one operator are kept one by one. When there are more, all sessions that are older than the
// newer half are ended.
const MostEnds = 256

// endsKept is how long an end is kept after its session could last: clocks are set back.
const endsKept = 24 * time.Hour

// OpenEnded reads what is kept in a file. Lines that cannot be read are passed over.
func OpenEnded(file string) (*Ended, error) {
	e := &Ended{file: file, single: map[operator]map[End]bool{}, before: map[operator]int64{}}
	if file == "" {
		return e, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var one End
		if json.Unmarshal(s.Bytes(), &one) == nil {
			e.add(one)
		}
	}
	return e, err
}

// Has reports whether a grant is of a session that was ended.
func (e *Ended) Has(account string, g Grant) bool {
	if g.User == "" {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.has(End{account, g.User, g.Session, g.Until})
}

func (e *Ended) has(one End) bool {
	before, folded := e.before[one.whose()]
	return e.single[one.whose()][one] || folded && one.Until <= before
}

// Add remembers ends, and reports whether any is new. It holds from now on, also when it cannot be written:
// [Ended.Save] tries again.
func (e *Ended) Add(now time.Time, ends ...End) (news bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range ends {
		news = one.Until > now.Add(-endsKept).Unix() && e.add(one) || news
	}
	e.dirty = e.dirty || news
	return news, e.save(now)
}

func (e *Ended) add(one End) (news bool) {
	if one.User == "" || e.has(one) {
		return false
	}
	own := e.single[one.whose()]
	if one.Session == "" {
		e.before[one.whose()] = one.Until
		maps.DeleteFunc(own, func(other End, _ bool) bool { return other.Until <= one.Until })
		return true
	}
	if own == nil {
		own = map[End]bool{}
		e.single[one.whose()] = own
	}
	if own[one] = true; len(own) > MostEnds {
		all := slices.SortedFunc(maps.Keys(own), func(a, b End) int { return cmp.Compare(a.Until, b.Until) })
		e.add(End{Account: one.Account, User: one.User, Until: all[len(all)/2].Until})
	}
	return true
}

// All are those that still matter, and a sum by which two hubs see whether they know the same.
func (e *Ended) All(now time.Time) (ends []End, sum string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ends = e.live(now)
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(ends) // strings and numbers only
	return ends, base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// live lets go of what is past, and gives the rest in order.
func (e *Ended) live(now time.Time) (ends []End) {
	past := now.Add(-endsKept).Unix()
	for o, own := range e.single {
		if maps.DeleteFunc(own, func(one End, _ bool) bool { return one.Until <= past }); len(own) == 0 {
			delete(e.single, o)
		}
		ends = slices.AppendSeq(ends, maps.Keys(own))
	}
	maps.DeleteFunc(e.before, func(_ operator, until int64) bool { return until <= past })
	for o, until := range e.before {
		ends = append(ends, End{Account: o.account, User: o.user, Until: until})
	}
	slices.SortFunc(ends, func(a, b End) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.User, b.User), cmp.Compare(a.Until, b.Until),
			cmp.Compare(a.Session, b.Session))
	})
	return ends
}

// Save writes what could not be written.
func (e *Ended) Save(now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.save(now)
}

func (e *Ended) save(now time.Time) error {
	if !e.dirty || e.file == "" {
		return nil
	}
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for _, one := range e.live(now) {
		_ = lines.Encode(one) // as above
	}
	if err := durable.Write(e.file, b.Bytes()); err != nil {
		return err
	}
	e.dirty = false
	return nil
}
