package access

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

func TestEndedSessions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "signed-out")
	e, err := OpenEnded(file)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	until := now.Add(time.Hour).Unix()
	has := func(e *Ended, user, session string, until int64) bool {
		return e.Has("demo", Grant{User: user, Session: session, Until: until})
	}
	one := End{"demo", "anna", "1", until}
	if news, err := e.Add(now, one); !news || err != nil {
		t.Fatal(news, err)
	}
	if news, _ := e.Add(now, one, End{"demo", "anna", "past", now.Add(-endsKept).Unix()}, End{}); news {
		t.Error("the same is news, or what is past, or nothing")
	}
	again, err := OpenEnded(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*Ended{e, again} {
		if !has(e, "anna", "1", until) || has(e, "anna", "2", until) || has(e, "berta", "1", until) ||
			e.Has("other", Grant{User: "anna", Session: "1", Until: until}) || e.Has("demo", Grant{Key: "k"}) {
			t.Error("the wrong sessions are ended")
		}
	}
	// Very many of one operator end the older ones with them, and others stay; hubs that tell one another know the same
	// then.
	for i := range MostEnds + 10 {
		if _, err := e.Add(now, End{"demo", "anna", fmt.Sprint("n", i), until + int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if !has(e, "anna", "older", until+1) || has(e, "anna", "newer", until+MostEnds) || has(e, "berta", "1", until) ||
		!has(e, "anna", fmt.Sprint("n", MostEnds+9), until+MostEnds+9) {
		t.Error("the wrong sessions are ended with very many")
	}
	all, sum := e.All(now)
	if len(all) > MostEnds {
		t.Errorf("%d are kept", len(all))
	}
	if _, err := again.Add(now, all...); err != nil {
		t.Fatal(err)
	}
	if _, other := again.All(now); other != sum {
		t.Error("one that was told all knows something else")
	}
	if rest, _ := e.All(now.Add(48 * time.Hour)); len(rest) != 0 {
		t.Errorf("%d are kept for ever", len(rest))
	}
	// What cannot be written holds, and is written later.
	e.file = filepath.Join(file, "nowhere")
	if news, err := e.Add(now, End{"demo", "carl", "1", until}); !news || err == nil || !has(e, "carl", "1", until) {
		t.Error(news, err)
	}
	e.file = file
	if err := e.Save(now); err != nil {
		t.Error(err)
	}
	if again, _ = OpenEnded(file); !has(again, "carl", "1", until) {
		t.Error("it was not written later")
	}
}
