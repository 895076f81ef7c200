package relay

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/pion/turn/v5"
)

// Party is one side of one call.
type Party struct{ Account, CUID, Call string }

// String is the party's user name at the relay.
func (p Party) String() string { return p.Account + ":" + p.CUID + ":" + p.Call }

func partyOf(username string) (Party, bool) {
	s := strings.Split(username, ":")
	if len(s) != 3 || s[0] == "" || s[1] == "" || s[2] == "" {
		return Party{}, false
	}
	return Party{s[0], s[1], s[2]}, true
}

const realm = "intercom"

// Credentials are what a party shows to the relay inside the hub. They have no time: they are good while the call
// lives.
func Credentials(secret string, p Party) (username, password string) {
	return p.String(), sum(sha256.New, secret, p.String())
}

func keyOf(secret string, p Party) []byte {
	username, password := Credentials(secret, p)
	return turn.GenerateAuthKey(username, realm, password)
}

// SharedLife is how long credentials for a server elsewhere can be used. It cannot ask whether the call lives; they are
// needed only when a party makes its media path ready, and clocks may differ a little.
const SharedLife = 5 * time.Minute

// Shared makes credentials for a server elsewhere that shares a secret with the hub (draft-uberti-behave-turn-rest-00;
// coturn's use-auth-secret): the name says until when, and the password is its HMAC.
func Shared(secret string, p Party, now time.Time) (username, password string) {
	username = fmt.Sprintf("%d:%s", now.Add(SharedLife).Unix(), p)
	return username, sum(sha1.New, secret, username)
}

func sum(hash func() hash.Hash, secret, text string) string {
	h := hmac.New(hash, []byte(secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
