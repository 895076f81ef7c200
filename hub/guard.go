package hub

import (
	"net/http"

	"intercom/internal/fault"
)

// guard is what the API knows of the hub's limits.
type guard struct{ h *Hub }

func (g guard) Wrong(r *http.Request)  { g.h.admission.wrong(r) }
func (g guard) Proved(r *http.Request) { proved(r) }

// Turn gives the known browsers of an account a queue beside those of the addresses. Who finds no place there waits
// with the address.
func (g guard) Turn(r *http.Request, account string) (done func(), err *fault.Error) {
	if account != "" {
		if done, err := g.h.hashing.wait(r.Context(), "account "+account); err == nil {
			return done, nil
		}
	}
	return g.h.hashing.wait(r.Context(), clientOf(r).String())
}

func (g guard) MayAsk(account string) *fault.Error  { return g.h.queries.may(account) }
func (g guard) MayMint(account string) *fault.Error { return g.h.minted.may(account) }

func (g guard) MayManage(account string) *fault.Error { return g.h.managed.may(account) }
