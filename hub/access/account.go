// Package access is who may do what: accounts with their API keys, groups and lists, as files that are provisioned and
// read again while the hub runs; the short-lived tokens and operators' passwords that stand on them; and the hub's
// secret, from which what it signs is signed.
//
// One file an account, in one folder. The files are the truth: nothing is kept that is not in them. A [Directory] reads
// them; the edits of this package change only the table that they are about, so that comments and order stay. The hub
// and cmd/intercom-hub import it.
package access

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"intercom/internal/config"
	"intercom/wire"
)

// Account is the file of one account; its name is the account's id.
type Account struct {
	ID          string
	MaxDuration config.Duration `toml:"max_duration" doc:"how long a call may last; 0s for no limit"`
	MaxDevices  int             `toml:"max_devices" doc:"how many devices may be signed in at once, browsers among them, 1 to 1000000; 20000 unless set"`
	Keys        []Key           `toml:"key" doc:"API keys, as hashes; intercom-hub key new adds one, and two may be valid at once"`
	Groups      []Group         `toml:"group" doc:"names under which several stations are called"`
	Callers     []Caller        `toml:"caller" doc:"limits of some callers, before that of the account"`
	Call        []Rule          `toml:"may_call" doc:"who may call whom; without a rule everyone may call everyone"`
	See         []Rule          `toml:"may_see" doc:"who sees whose presence; without a rule everyone sees everyone"`
	AutoAnswer  []Rule          `toml:"may_be_answered_automatically" doc:"calls that a station set to it may answer by itself; without a rule none"`
	OpenDoor    []Rule          `toml:"may_open_door" doc:"who may open whose door in a call; without a rule nobody"`
	Stations    []Station       `toml:"station" doc:"stations that must be there; one that is silent for too long raises an alarm"`
	Hooks       []Webhook       `toml:"webhook" doc:"URLs that are told what happened; see docs/integrate.md"`
	Users       []User          `toml:"user" doc:"operators of the console; intercom-hub user add adds one"`
}

// Key is an API key as it is kept: the hash of 256 random bits, for which a plain SHA-256 is enough.
type Key struct {
	ID      string `toml:"id" doc:"name by which it is revoked"`
	SHA256  string `toml:"sha256" doc:"hash of the key, hexadecimal"`
	Created string `toml:"created" doc:"when it was made"`
}

// Group is several stations under one name.
type Group struct {
	ID      string          `toml:"id" doc:"name of the group, in the form of a cuid that no station has"`
	Members []string        `toml:"members" doc:"cuids of stations, 1 to 16, in the order in which they ring in a sequence"`
	Mode    wire.Mode       `toml:"mode" doc:"parallel: all ring at once; sequence: one after the other"`
	Each    config.Duration `toml:"each" doc:"how long each rings in a sequence, 1s to 1m; 15s unless set"`
}

// Caller is the limit of one caller.
type Caller struct {
	CUID        string          `toml:"cuid" doc:"of the caller; * and ? stand for characters"`
	MaxDuration config.Duration `toml:"max_duration" doc:"how long its calls may last"`
}

// Rule allows something between those whose cuids match.
type Rule struct {
	From []string `toml:"from" doc:"cuids; * and ? stand for characters"`
	To   []string `toml:"to" doc:"cuids; * and ? stand for characters"`
}

// Station is one that must be there.
type Station struct {
	CUID        string          `toml:"cuid" doc:"of the station"`
	SilentAfter config.Duration `toml:"silent_after" doc:"how long it may be away before the alarm, at least 30s; 5m unless set"`
}

// Webhook is a URL that is told what happened.
type Webhook struct {
	URL        string   `toml:"url" doc:"https URL; http only on loopback"`
	SecretFile string   `toml:"secret_file" doc:"file with the secret that signs what is sent"`
	Events     []string `toml:"events" doc:"call.ended, call.missed, station.silent, station.back; all when empty"`

	secret config.Secret
}

// Secret signs what is sent; read by Check.
func (w *Webhook) Secret() config.Secret { return w.secret }

// Wants reports whether it is told of an event.
func (w *Webhook) Wants(event string) bool {
	return len(w.Events) == 0 || slices.Contains(w.Events, event)
}

func (w *Webhook) check(r *config.Report, at string) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !config.Loopback(u.Hostname())) {
		r.Addf(at+".url", "%q is not an https URL; http is for loopback only", w.URL)
	}
	for i, e := range w.Events {
		if !slices.Contains([]string{"call.ended", "call.missed", "station.silent", "station.back"}, e) {
			r.Addf(fmt.Sprintf("%s.events[%d]", at, i),
				"%q is not an event; there are call.ended, call.missed, station.silent and station.back", e)
		}
	}
	if w.SecretFile == "" {
		r.Addf(at+".secret_file", "is missing; who is told checks by the secret that it was this hub")
	} else if w.secret, err = r.ReadSecret(w.SecretFile); err != nil {
		r.Addf(at+".secret_file", "%v", err)
	}
}

// User is an operator of the console.
type User struct {
	Name     string `toml:"name" doc:"with which the operator signs in"`
	Password string `toml:"password" doc:"argon2id hash; intercom-hub user add makes it"`
	Role     Role   `toml:"role" doc:"operator: sees and calls; administrator: also keys, groups and users"`
}

// Role is what an operator may do.
type Role string

// The roles.
const (
	Operator      Role = "operator"
	Administrator Role = "administrator"
)

// MaxKeys may be valid at once: the old one and the new one while they are changed.
const MaxKeys = 2

// MaxGroups and MaxUsers are what pages and commands make at most: each change of a file reads and writes it whole.
const (
	MaxGroups = 500
	MaxUsers  = 200
)

// MaxDevices may be signed in at once unless set: twice as many as one hub is tested with.
const MaxDevices = 20_000

// SilentTime is how long a station may be away unless set.
const SilentTime = 5 * time.Minute

// EachTime is how long each of a sequence rings unless set.
const EachTime = 15 * time.Second

// Check names what is wrong with the file.
func (a *Account) Check(r *config.Report) {
	if len(a.Keys) > MaxKeys {
		r.Addf("key", "there are %d keys; %d may be valid at once", len(a.Keys), MaxKeys)
	}
	ids := map[string]bool{}
	for i, k := range a.Keys {
		at := fmt.Sprintf("key[%d]", i)
		if b, err := hex.DecodeString(k.SHA256); err != nil || len(b) != sha256.Size {
			r.Addf(at+".sha256", "is not a SHA-256 hash; make a key with 'intercom-hub key new'")
		}
		if k.ID == "" || ids[k.ID] {
			r.Addf(at+".id", "must be there, and once")
		}
		ids[k.ID] = true
	}
	if a.MaxDevices == 0 {
		a.MaxDevices = MaxDevices
	}
	if a.MaxDevices < 1 || a.MaxDevices > 1_000_000 {
		r.Addf("max_devices", "is %d; it must be 1 to 1000000", a.MaxDevices)
	}
	names := map[string]bool{}
	for i := range a.Groups {
		at := fmt.Sprintf("group[%d]", i)
		a.Groups[i].check(r, at, names)
		a.checkMembers(r, at, a.Groups[i])
	}
	for i, c := range a.Callers {
		checkPattern(r, fmt.Sprintf("caller[%d].cuid", i), c.CUID)
	}
	for name, rules := range map[string][]Rule{"may_call": a.Call, "may_see": a.See,
		"may_be_answered_automatically": a.AutoAnswer, "may_open_door": a.OpenDoor} {
		for i, one := range rules {
			at := fmt.Sprintf("%s[%d]", name, i)
			for j, p := range one.From {
				checkPattern(r, fmt.Sprintf("%s.from[%d]", at, j), p)
			}
			for j, p := range one.To {
				checkPattern(r, fmt.Sprintf("%s.to[%d]", at, j), p)
			}
			if len(one.From) == 0 || len(one.To) == 0 {
				r.Addf(at, "needs from and to; [\"*\"] means all")
			}
		}
	}
	for i := range a.Stations {
		s, at := &a.Stations[i], fmt.Sprintf("station[%d]", i)
		if wire.CheckCUID(s.CUID) != nil {
			r.Addf(at+".cuid", "%q is not a cuid", s.CUID)
		}
		if s.SilentAfter == 0 {
			s.SilentAfter = config.Duration(SilentTime)
		}
		if s.SilentAfter.Std() < 30*time.Second {
			r.Addf(at+".silent_after", "is %v; it must be at least 30s, or every restart is an alarm", s.SilentAfter)
		}
	}
	for i := range a.Hooks {
		a.Hooks[i].check(r, fmt.Sprintf("webhook[%d]", i))
	}
	users := map[string]bool{}
	for i, u := range a.Users {
		at := fmt.Sprintf("user[%d]", i)
		if u.Name == "" || users[u.Name] {
			r.Addf(at+".name", "must be there, and once")
		}
		users[u.Name] = true
		if u.Role != Operator && u.Role != Administrator {
			r.Addf(at+".role", "%q is not a role; there are operator and administrator", string(u.Role))
		}
		if _, err := parseHash(u.Password); err != nil {
			r.Addf(at+".password", "is not a hash; set it with 'intercom-hub user add'")
		}
	}
}

func (g *Group) check(r *config.Report, at string, seen map[string]bool) {
	if wire.CheckCUID(g.ID) != nil {
		r.Addf(at+".id", "%q is not a name for a group; it has the form of a cuid, for example reception_team", g.ID)
	} else if seen[g.ID] {
		r.Addf(at+".id", "the group %q is there twice", g.ID)
	}
	seen[g.ID] = true
	if len(g.Members) == 0 || len(g.Members) > wire.MaxReceivers {
		r.Addf(at+".members", "has %d members; a group has 1 to %d", len(g.Members), wire.MaxReceivers)
	}
	for j, m := range g.Members {
		if wire.CheckCUID(m) != nil {
			r.Addf(fmt.Sprintf("%s.members[%d]", at, j), "%q is not a cuid", m)
		} else if slices.Index(g.Members, m) != j {
			r.Addf(fmt.Sprintf("%s.members[%d]", at, j), "%q is there twice", m)
		}
	}
	g.Mode = orParallel(g.Mode)
	if g.Mode != wire.Parallel && g.Mode != wire.Sequence {
		r.Addf(at+".mode", "%q is not a mode; there are parallel and sequence", string(g.Mode))
	}
	if g.Each == 0 {
		g.Each = config.Duration(EachTime)
	}
	if d := g.Each.Std(); d < time.Second || d > time.Minute {
		r.Addf(at+".each", "is %v; it must be 1s to 1m", g.Each)
	}
}

// checkMembers names what cannot be a group's name or member: a name is either that of a group or that of a device.
func (a *Account) checkMembers(r *config.Report, at string, g Group) {
	if a.station(g.ID) {
		r.Addf(at+".id", "%q is a [[station]] of this account too; give the group another name, or the station could "+
			"not sign in", g.ID)
	}
	for j, m := range g.Members {
		if a.Group(m) != nil {
			r.Addf(fmt.Sprintf("%s.members[%d]", at, j), "%q is a group; the members of a group are stations, not "+
				"groups", m)
		}
	}
}

func orParallel(m wire.Mode) wire.Mode { return cmp.Or(m, wire.Parallel) }

func checkPattern(r *config.Report, at, p string) {
	if _, err := path.Match(p, ""); err != nil || p == "" || strings.ContainsAny(p, "/ ") {
		r.Addf(at, "%q is not a cuid or a pattern like \"door_*\"", p)
	}
}

// CheckID allows 1 to 50 ASCII letters, digits, - and _ as the id of an account.
func CheckID(id string) error {
	if id == "" || len(id) > 50 || strings.Trim(id,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return errors.New("an account id has 1 to 50 letters, digits, - and _")
	}
	return nil
}

// Names reports whether the file names a device: as a station that must be there, or in a group.
func (a *Account) Names(cuid string) bool {
	return a.station(cuid) || a.groupWith(cuid) != nil
}

// station reports whether the file has a station of that cuid that must be there.
func (a *Account) station(cuid string) bool {
	return slices.ContainsFunc(a.Stations, func(s Station) bool { return s.CUID == cuid })
}

// groupWith finds a group that has a member; nil if there is none.
func (a *Account) groupWith(member string) *Group {
	for i := range a.Groups {
		if slices.Contains(a.Groups[i].Members, member) {
			return &a.Groups[i]
		}
	}
	return nil
}

// Group finds a group by its name; nil if there is none.
func (a *Account) Group(id string) *Group {
	for i := range a.Groups {
		if a.Groups[i].ID == id {
			return &a.Groups[i]
		}
	}
	return nil
}

// MayCall reports whether from may call to.
func (a *Account) MayCall(from, to string) bool { return len(a.Call) == 0 || allowed(a.Call, from, to) }

// MaySee reports whether from sees to's presence.
func (a *Account) MaySee(from, to string) bool { return len(a.See) == 0 || allowed(a.See, from, to) }

// MayBeAnswered reports whether a call of from to to may be answered without a hand.
func (a *Account) MayBeAnswered(from, to string) bool { return allowed(a.AutoAnswer, from, to) }

// MayOpen reports whether from may open the door of to.
func (a *Account) MayOpen(from, to string) bool { return allowed(a.OpenDoor, from, to) }

// Limit is how long a call of from may last; 0 for no limit.
func (a *Account) Limit(from string) time.Duration {
	for _, c := range a.Callers {
		if match(c.CUID, from) {
			return c.MaxDuration.Std()
		}
	}
	return a.MaxDuration.Std()
}

func allowed(rules []Rule, from, to string) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return anyMatch(r.From, from) && anyMatch(r.To, to) })
}

// Listed reports whether a cuid is on a list of cuids and patterns, as a station's own.
func Listed(patterns []string, cuid string) bool { return anyMatch(patterns, cuid) }

func anyMatch(patterns []string, cuid string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, cuid) })
}

func match(pattern, cuid string) bool {
	ok, err := path.Match(pattern, cuid)
	return ok && err == nil
}
