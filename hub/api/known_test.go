package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"intercom/hub/access"
)

// A browser is known for the operator who signed in with it, while that one exists, and for nothing that the hub did
// not sign.
func TestWhichBrowsersAreKnown(t *testing.T) {
	d := newDoor(t)
	o := d.api.operators
	w := httptest.NewRecorder()
	o.remember(w, "demo", "anna")
	good := w.Result().Cookies()[0].Value
	old, err := json.Marshal(known{hashOf("demo", "anna"), time.Now().Add(-time.Second).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	knows := func(account, name, cookie string) bool {
		r := httptest.NewRequest(http.MethodPost, SessionPath, nil)
		r.AddCookie(&http.Cookie{Name: KnownCookie, Value: cookie})
		return o.knows(r, account, name)
	}
	for name, c := range map[string]struct {
		account, name, cookie string
		want                  bool
	}{
		"the operator":           {"demo", "anna", good, true},
		"another":                {"demo", "chief", good, false},
		"one of another account": {"other", "anna", good, false},
		"cut":                    {"demo", "anna", good[1:], false},
		"nothing":                {"demo", "anna", "", false},
		"old":                    {"demo", "anna", o.browsers.Sign(old), false},
		"of a session":           {"demo", "anna", o.sessions.Sign(old), false},
	} {
		if got := knows(c.account, c.name, c.cookie); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, SessionPath, nil)
	r.AddCookie(&http.Cookie{Name: Cookie, Value: good})
	if _, _, ok := o.of(r); ok {
		t.Error("the cookie signs in")
	}
	anna, _ := o.Access.User("demo", "anna")
	err = o.Access.Edit("demo", func(e *access.Editor) error {
		chief := access.User{Name: "chief", Password: anna.Password, Role: access.Administrator}
		return errors.Join(e.AddUser(chief), e.RemoveUser("anna"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if knows("demo", "anna", good) {
		t.Error("an operator who was removed is known")
	}
}
