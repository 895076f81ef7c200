package wire

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"

	"intercom/internal/fault"
)

// MaxSettings is how long the text of settings may be, in bytes. [SettingsBody.CheckSize] says whether it fits a
// message, too.
const MaxSettings = 32 << 10

// SettingsBody is a part of a station's configuration that an administrator wrote for it: TOML, laid over its files.
// The hub keeps and carries it; whose it is says the signature, of a key that the hub does not have.
type SettingsBody struct {
	Version   uint64 `json:"version"` // a later one replaces an earlier one, never the other way
	Text      string `json:"text"`
	Signature string `json:"signature"` // Ed25519 (RFC 8032), base64
}

// signed is what the signature is over: settings for another station, or of another account, are not these.
func (b SettingsBody) signed(account, cuid string) []byte {
	return fmt.Appendf(nil, "intercom settings\n%s\n%s\n%d\n%s", account, cuid, b.Version, b.Text)
}

// Sign signs them for a station.
func (b *SettingsBody) Sign(key ed25519.PrivateKey, account, cuid string) {
	b.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, b.signed(account, cuid)))
}

// CheckSize refuses settings that do not fit a message: a quote, a line feed or a backslash has two bytes there.
func (b SettingsBody) CheckSize() *fault.Error {
	if len(b.Text) > MaxSettings {
		return fault.In(fault.TooLarge, "text", "Settings have at most %d bytes.", MaxSettings)
	}
	if n := Size(b); n > MaxBody {
		return fault.In(fault.TooLarge, "text",
			"The settings have %d bytes as JSON, and %d fit a message to a station; "+
				"shorten them, quotes and comments first.", n, MaxBody)
	}
	return nil
}

// Check refuses what none of the keys has signed for this station.
func (b SettingsBody) Check(keys []ed25519.PublicKey, account, cuid string) *fault.Error {
	if err := b.CheckSize(); err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(b.Signature)
	if err == nil {
		for _, key := range keys {
			if ed25519.Verify(key, b.signed(account, cuid), signature) {
				return nil
			}
		}
	}
	return fault.In(fault.NotAllowed, "signature",
		"The settings are signed by none of hub.settings_keys for this station.")
}

const publicPrefix = "ed25519:"

// PublicKey writes a key as a station's configuration has it.
func PublicKey(key ed25519.PublicKey) string {
	return publicPrefix + base64.StdEncoding.EncodeToString(key)
}

// ParsePublicKey reads such a key.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, publicPrefix))
	if err != nil || len(b) != ed25519.PublicKeySize || !strings.HasPrefix(text, publicPrefix) {
		return nil, fmt.Errorf("%q is no key; 'intercom-hub config key' prints one, like ed25519:…", text)
	}
	return b, nil
}
