package wire

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"intercom/internal/fault"
)

// CheckCUID applies the contract's rule: 5 to 50 ASCII letters, digits and underscores, at least one letter or digit,
// but not numbers joined by underscores; case-sensitive. The error is [fault.InvalidInit] for the field cuid.
func CheckCUID(s string) *fault.Error {
	why := ""
	switch {
	case len(s) < 5 || len(s) > 50:
		why = "must have 5 to 50 characters"
	case strings.TrimLeft(s, lettersAndDigits+"_") != "":
		why = "may have only the letters A–Z and a–z, digits and underscores"
	case !strings.ContainsAny(s, lettersAndDigits):
		why = "must have at least one letter or digit"
	case joinedNumbers.MatchString(s):
		why = "must not be numbers joined by underscores"
	default:
		return nil
	}
	return fault.In(fault.InvalidInit, "cuid", "The cuid %s; write it like front_door_01.", why)
}

const lettersAndDigits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

var joinedNumbers = regexp.MustCompile(`^[0-9]+(_[0-9]+)+$`)

// CheckName applies the contract's rule: 3 to 50 characters after trimming, no control characters. An empty name is
// refused too; whoever allows none does not ask.
func CheckName(s string) *fault.Error {
	if why := text(strings.TrimSpace(s), 3, 50); why != "" {
		return fault.In(fault.InvalidInit, "name", "The name %s, for example Front door.", why)
	}
	return nil
}

// CheckContext applies the contract's rule: required, 1 to 64 characters, no control characters.
func CheckContext(s string) *fault.Error {
	if strings.TrimSpace(s) == "" {
		return fault.In(fault.InvalidCall, "context", "The context is missing; say why you call, for example Delivery.")
	}
	if why := text(s, 1, 64); why != "" {
		return fault.In(fault.InvalidCall, "context", "The context %s, for example Delivery.", why)
	}
	return nil
}

// CheckReceiver refuses a call to nobody, to what is no cuid, and to oneself.
func CheckReceiver(to, self string) *fault.Error {
	switch {
	case to == "":
		return fault.In(fault.InvalidCall, "to",
			"The receiver is missing; name the cuid to call, for example reception.")
	case CheckCUID(to) != nil:
		return fault.In(fault.InvalidCall, "to",
			"The receiver is not a cuid; it must be 5 to 50 letters, digits and underscores, for example reception.")
	case to == self:
		return fault.In(fault.InvalidCall, "to", "A device cannot call itself; name another cuid.")
	}
	return nil
}

// CheckImage allows nothing, or an absolute http or https URL of at most 2,048 bytes.
func CheckImage(s string) *fault.Error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || len(s) > 2048 {
		return fault.In(fault.InvalidCall, "image",
			"The image must be a whole http or https URL, for example https://example.org/door.png.")
	}
	return nil
}

// Printable makes a text fit for those who check it: what is not allowed becomes a space, and what is too long is cut.
func Printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if text(string(r), 1, 1) != "" {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if r := []rune(s); len(r) > most {
		s = string(r[:most])
	}
	if s == "" {
		s = " "
	}
	return s
}

// text says what is wrong with a text for people, or nothing.
func text(s string, least, most int) string {
	if !utf8.ValidString(s) {
		return "must be valid UTF-8"
	}
	for _, r := range s {
		// Cf holds the bidirectional overrides, with which a name could rewrite the log line or screen around it.
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d' || r == '\u2028' || r == '\u2029' {
			return "must not contain control characters"
		}
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return "must have " + span(least, most) + " characters"
	}
	return ""
}

func span(least, most int) string { return strconv.Itoa(least) + " to " + strconv.Itoa(most) }
