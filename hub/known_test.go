package hub

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"intercom/hub/api"
)

// rememberedBy gives the cookie of a browser with which an operator signs in.
func (s *server) rememberedBy(name string) *http.Cookie {
	s.Helper()
	r, err := http.Post(s.URL+api.SessionPath, "application/json",
		strings.NewReader(fmt.Sprintf(`{"account":"demo","name":%q,"password":%q}`, name, password)))
	if err != nil {
		s.Fatal(err)
	}
	r.Body.Close()
	for _, c := range r.Cookies() {
		if c.Name == api.KnownCookie {
			if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" ||
				strings.Contains(c.Value, name) {
				s.Errorf("the cookie is %+v", c)
			}
			return c
		}
	}
	s.Fatalf("%d without a cookie", r.StatusCode)
	return nil
}

// While an address floods the hub with passwords, a right one from there finds no place, but one from a browser in
// which the operator signed in before does. A wrong one from there is refused like any other.
func TestAKnownBrowserHasItsTurn(t *testing.T) {
	s, _ := newHouse(t).hub("one")
	cookie := s.rememberedBy("anna")
	var free []func()
	for range s.hub.hashing.most {
		done, err := s.hub.hashing.wait(t.Context(), "203.0.113.1")
		if err != nil {
			t.Fatal(err)
		}
		free = append(free, done)
	}
	from := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}}).DialContext}}
	try := func(password string, cookie *http.Cookie) chan int {
		status := make(chan int, 1)
		go func() {
			q, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+api.SessionPath,
				strings.NewReader(fmt.Sprintf(`{"account":"demo","name":"anna","password":%q}`, password)))
			if cookie != nil {
				q.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
			}
			r, err := from.Do(q)
			if err != nil {
				status <- 0
				return
			}
			r.Body.Close()
			status <- r.StatusCode
		}()
		return status
	}
	waiting := func(n int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); s.hub.hashing.now()[1] != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d wait, not %d", s.hub.hashing.now()[1], n)
			}
		}
	}
	var flood []chan int
	for range turnsOfAddress {
		flood = append(flood, try("a wrong horse", nil))
	}
	waiting(turnsOfAddress)
	if got := <-try(password, nil); got != http.StatusTooManyRequests {
		t.Errorf("a right password, unknown: %d", got)
	}
	right := try(password, cookie)
	waiting(turnsOfAddress + 1)
	wrong := try("a wrong horse", cookie)
	waiting(turnsOfAddress + 2)
	for _, done := range free {
		done()
	}
	if got := <-right; got != http.StatusOK {
		t.Errorf("a right password of a known browser: %d", got)
	}
	if got := <-wrong; got != http.StatusUnauthorized {
		t.Errorf("a wrong password of a known browser: %d", got)
	}
	for _, status := range flood {
		<-status
	}
}

// Where too many known browsers of an account wait, they wait like everybody.
func TestKnownBrowsersAreNotWithoutLimit(t *testing.T) {
	s, _ := newHouse(t).hub("one")
	for range s.hub.hashing.most {
		done, err := s.hub.hashing.wait(t.Context(), "203.0.113.1")
		if err != nil {
			t.Fatal(err)
		}
		defer done()
	}
	ctx, cancel := context.WithCancel(t.Context())
	refused := 0
	all := make(chan bool)
	for range 3 * turnsOfAddress {
		go func() {
			q := httptest.NewRequest(http.MethodPost, api.SessionPath, nil).WithContext(ctx)
			q.RemoteAddr = "127.0.0.7"
			_, err := guard{s.hub}.Turn(q, "demo")
			all <- err != nil
		}()
	}
	for range turnsOfAddress { // who finds no place with the others, and none of the address
		if <-all {
			refused++
		}
	}
	if waits := s.hub.hashing.now()[1]; waits != 2*turnsOfAddress || refused != turnsOfAddress {
		t.Errorf("%d wait, %d are refused", waits, refused)
	}
	cancel()
	for range 2 * turnsOfAddress {
		<-all
	}
}
