package systemd

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"intercom/internal/event"
)

// Logger gives the daemon's log: to the journal with a field for each attribute when stderr is the journal's, else
// readable lines on stderr.
func Logger(level slog.Leveler) *slog.Logger {
	if on, err := journal.StderrIsJournalStream(); err == nil && on && journal.Enabled() {
		return slog.New(&Journal{Level: level, Fallback: os.Stderr})
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: readable}))
}

// readable shortens the time of lines for a terminal.
func readable(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.String(slog.TimeKey, a.Value.Time().Format("15:04:05.000"))
	}
	return a
}

// Journal is a slog handler that sends entries to journald, with attributes as fields in capitals.
type Journal struct {
	Level    slog.Leveler
	Fallback io.Writer // gets lines with a <priority> prefix when the journal does not answer
	Send     func(message string, p journal.Priority, fields map[string]string) error

	prefix string
	attrs  []slog.Attr
}

// Enabled implements slog.Handler.
func (j *Journal) Enabled(_ context.Context, l slog.Level) bool { return l >= j.Level.Level() }

// WithAttrs implements slog.Handler.
func (j *Journal) WithAttrs(as []slog.Attr) slog.Handler {
	c := *j
	c.attrs = append([]slog.Attr{}, j.attrs...)
	for _, a := range as {
		a.Key = j.prefix + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (j *Journal) WithGroup(name string) slog.Handler {
	c := *j
	c.prefix += name + "_"
	return &c
}

// Handle implements slog.Handler.
func (j *Journal) Handle(_ context.Context, r slog.Record) error {
	fields := map[string]string{}
	for _, a := range j.attrs {
		add(fields, "", a)
	}
	r.Attrs(func(a slog.Attr) bool { add(fields, j.prefix, a); return true })
	if id := event.ID(r.Message); id != "" {
		fields["MESSAGE_ID"] = id
	}
	p := priority(r.Level)
	send := j.Send
	if send == nil {
		send = journal.Send
	}
	message := r.Message
	// what a reader of the plain journal needs
	for _, a := range event.Attributes() {
		if value := fields[fieldOf(a.Key)]; a.Shown && value != "" {
			message += " " + a.Key + "=" + strconv.Quote(value)
		}
	}
	if send(message, p, fields) == nil {
		return nil
	}
	_, err := io.WriteString(j.Fallback, "<"+strconv.Itoa(int(p))+">"+message+"\n")
	return err
}

// fieldOf is the journal's field of an attribute.
func fieldOf(key string) string {
	if key == "call" {
		return "CALL_ID"
	}
	return fieldName(key)
}

// add turns an attribute into fields; a group into one for each member.
func add(fields map[string]string, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, m := range v.Group() {
			add(fields, prefix+a.Key+"_", m)
		}
		return
	}
	key := fieldOf(prefix + a.Key)
	if text := v.String(); key != "" && text != "" {
		fields[key] = text
	}
}

// fieldName makes a name that journald takes: capitals, digits and underscores, not beginning with an underscore.
func fieldName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
	return strings.TrimLeft(s, "_0123456789")
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}
