package audio

import (
	"fmt"
	"path"
	"strings"

	"github.com/jfreymuth/pulse/proto"
)

// pick gives the first of the names there are that fits one of the patterns, the best pattern first. best is false when
// it is not what was wanted most.
func pick(want, there []string) (name string, best bool) {
	for i, pattern := range want {
		for _, n := range there {
			if ok, err := path.Match(pattern, n); ok && err == nil || n == pattern {
				return n, i == 0
			}
		}
	}
	return "", false
}

// sinkFor is the sink that a loudspeaker should be on now; "" for the server's default.
func (a *Audio) sinkFor(c *conn, o *output) string {
	if o != a.outs[0] {
		return a.choose(RingLoudspeaker, a.set.RingSinks, c.sinks)
	}
	if ec := a.canceller(); ec != nil {
		return ec.sink
	}
	return a.choose(Loudspeaker, a.set.Sinks, c.sinks)
}

// sourceFor is the source that the microphone should be on now.
func (a *Audio) sourceFor(c *conn) string {
	if ec := a.canceller(); ec != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.bypass {
			return ec.masterSource
		}
		return ec.source
	}
	return a.choose(Microphone, a.set.Sources, c.sources)
}

// choose picks a device, and says when it is not the one that was wanted most.
func (a *Audio) choose(what Part, want []string, list func() ([]string, error)) string {
	if len(want) == 0 {
		return ""
	}
	there, err := list()
	if err != nil {
		return want[0] // the stream will say what is wrong
	}
	name, best := pick(want, there)
	switch {
	case best:
		a.trouble(what, nil)
	case name != "":
		a.trouble(what, fmt.Errorf("%q is not there; %q is used", want[0], name))
	default:
		a.trouble(what, fmt.Errorf("%q is not there; the server's default is used (there are %s)", want[0],
			strings.Join(there, ", ")))
	}
	return name
}

func (c *conn) sinks() (names []string, err error) {
	var all proto.GetSinkInfoListReply
	err = c.Request(&proto.GetSinkInfoList{}, &all)
	for _, s := range all {
		names = append(names, s.SinkName)
	}
	return names, err
}

func (c *conn) sources() (names []string, err error) {
	var all proto.GetSourceInfoListReply
	err = c.Request(&proto.GetSourceInfoList{}, &all)
	for _, s := range all {
		names = append(names, s.SourceName)
	}
	return names, err
}

// follow gives a signal whenever devices may have come or gone.
func (c *conn) follow() chan struct{} {
	news := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news[news] = true
	return news
}

func (c *conn) unfollow(news chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.news, news)
}

// tellAll wakes those who follow the devices.
func (c *conn) tellAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.news {
		poke(n)
	}
}

func named(device string) string {
	if device == "" {
		return "(the server's default)"
	}
	return fmt.Sprintf("%q", device)
}
