package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/hub/cluster"
	"intercom/hub/presence"
	"intercom/internal/fault"
	"intercom/internal/tasks"
	"intercom/wire"
)

// registrar knows the devices that are signed in at this hub, and gives each its one place in the cluster: the claim of
// its cuid, and the connection at the hub that holds it.
type registrar struct {
	log      *slog.Logger
	hubs     *cluster.Hubs
	access   *access.Directory
	ended    *access.Ended
	presence *presence.Presence
	devices  *devices
	claims   claims
	calls    callsOfDevices

	ctx    context.Context // ends when the hub does
	cancel context.CancelFunc
	work   tasks.Group // what waits for other hubs

	mu       sync.Mutex
	sessions map[who]*session
	signing  oneByOne
	stopped  bool
}

// callsOfDevices hears of devices that come and go, since they may be in a call. The registrar's lock is not held.
type callsOfDevices interface {
	// arrived says that a device signed in, which was in a call; resumed that its session went on.
	arrived(m *session, h hello, was legRef, resumed bool)
	// departed says that a device is disconnected, which was in a call; forGood that its session is over.
	departed(w who, was legRef, forGood bool)
}

func newRegistrar(s Settings, log *slog.Logger) *registrar {
	hubs := cluster.New(s.Bus, log)
	r := &registrar{
		log: log, hubs: hubs, access: s.Access, ended: s.Ended, devices: newDevices(hubs, s.Access),
		sessions: map[who]*session{},
	}
	r.presence = presence.New(local{r}, local{r}, s.Access)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.claims = claims{r.ctx, hubs, log}
	return r
}

// background runs what has to wait for another hub.
func (r *registrar) background(f func()) { r.work.Go(f) }

// askOwner is how long the owner of a cuid has to give a sign of life when another device wants it.
const askOwner = 2 * time.Second

// hello is a sign-in whose credentials are good.
type hello struct {
	wire.HelloBody
	re    uint64
	grant access.Grant
	end   time.Time    // of its token; zero for one that came in by the key itself
	place *reservation // nil for one that had a seat
}

// enter gives a device its seat: this connection is from now on the one owner of its cuid. It is told welcome, and then
// what it missed or how its calls stand.
func (r *registrar) enter(ctx context.Context, w who, h hello, c conn, welcome wire.WelcomeBody) (*session,
	*fault.Error) {
	done, err := r.signing.alone(ctx, w)
	if err != nil {
		return nil, fault.New(fault.HubDegraded)
	}
	defer done()
	r.mu.Lock()
	m := r.sessions[w]
	r.mu.Unlock()
	if m != nil {
		if m.instance != h.Instance {
			r.probe(m)
			return nil, fault.New(fault.AlreadySignedIn)
		}
		return r.seat(w, h, c, welcome, m.revision)
	}
	p, ferr := r.devices.reserve(ctx, w, h)
	if ferr != nil {
		return nil, ferr
	}
	defer r.devices.free(p)
	revision, ferr := r.claims.take(ctx, w, h.Instance)
	if ferr != nil {
		return nil, ferr
	}
	h.place = p
	m, ferr = r.seat(w, h, c, welcome, revision)
	if ferr != nil && revision != 0 {
		r.claims.release(cluster.DeviceClaim(w.account, w.cuid), revision)
	}
	return m, ferr
}

// yield gives a cuid up to another hub, unless another device holds it.
func (r *registrar) yield(w who, instance string) string {
	ctx, cancel := context.WithTimeout(r.ctx, askHub)
	defer cancel()
	done, err := r.signing.alone(ctx, w)
	if err != nil {
		return stays
	}
	defer done()
	r.mu.Lock()
	m := r.sessions[w]
	r.mu.Unlock()
	if m == nil {
		return yielded
	}
	if m.instance != instance {
		r.probe(m)
		return stays
	}
	m.close(wire.CloseReplaced, "the same device signed in again")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(m)
	return yielded
}

// probe disconnects a device that gives no sign of life. Its cuid is free for another one when its session is over, and
// not before: a connection that breaks for a moment, or that is made to break, must not be a way to take it.
func (r *registrar) probe(m *session) {
	m.mu.Lock()
	c := m.conn
	m.mu.Unlock()
	if c == nil || c.alive(askOwner) {
		return
	}
	c.close(wire.CloseOverload, "no sign of life")
	r.leave(m, c, false)
}

// seat puts the device on its seat. While it waited for it, what it came in by may have been taken away: whoever takes
// it away looks at the seats afterwards ([registrar.expel]).
func (r *registrar) seat(w who, h hello, c conn, welcome wire.WelcomeBody, revision uint64) (*session, *fault.Error) {
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return nil, fault.New(fault.HubDegraded)
	}
	if !r.stands(w.account, h.grant) {
		r.mu.Unlock()
		return nil, fault.New(fault.Credentials)
	}
	m := r.sessions[w]
	if m == nil {
		m = &session{who: w, log: r.log}
		r.sessions[w] = m
		r.devices.seated(w, h.place)
	}
	if m.drop != nil {
		m.drop.Stop()
		m.drop = nil
	}
	m.name, m.instance, m.grant, m.revision, m.agent = h.Name, h.Instance, h.grant, revision, h.Agent
	m.since = time.Now().UTC().Truncate(time.Millisecond)
	resumed := m.attach(c, h.Resume, h.re, welcome)
	if !resumed {
		m.offered = 0
	}
	r.expire(m, h.end)
	was := m.call
	r.mu.Unlock()
	if !resumed {
		r.presence.Unwatch(watcher{r, m})
	}
	r.changed(w)
	r.calls.arrived(m, h, was, resumed)
	return m, nil
}

// leave says that a connection is gone. The session goes on for a while; for good means that it does not.
func (r *registrar) leave(m *session, c conn, forGood bool) {
	r.mu.Lock()
	if !m.detach(c) || r.sessions[m.who] != m { // it has another one already
		r.mu.Unlock()
		return
	}
	was := m.call
	if forGood || r.stopped {
		r.drop(m)
	} else {
		m.drop = time.AfterFunc(wire.SessionGrace, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.sessions[m.who] == m && !m.online() {
				r.drop(m)
			}
		})
	}
	r.mu.Unlock()
	r.changed(m.who)
	r.calls.departed(m.who, was, forGood)
}

// drop ends a session and releases its claim. The lock is held.
func (r *registrar) drop(m *session) {
	r.remove(m)
	if m.revision != 0 && !r.stopped {
		r.background(func() { r.claims.release(cluster.DeviceClaim(m.account, m.cuid), m.revision) })
	}
}

func (r *registrar) remove(m *session) {
	r.expire(m, time.Time{})
	if m.drop != nil {
		m.drop.Stop()
		m.drop = nil
	}
	if r.sessions[m.who] == m {
		delete(r.sessions, m.who)
		r.devices.left(m.who)
	}
	r.presence.Unwatch(watcher{r, m})
	r.changed(m.who)
}

func (r *registrar) closeAll(code int, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.sessions {
		m.mu.Lock()
		if m.conn != nil {
			m.conn.send(wire.New(wire.GoAway, "", wire.GoAwayBody{SpreadMS: Spread.Milliseconds()}))
			m.conn.close(code, why)
		}
		m.mu.Unlock()
	}
}

// count is how many devices are online here.
func (r *registrar) count() (devices int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.sessions {
		if m.online() {
			devices++
		}
	}
	return devices
}

// online reports whether a device is signed in here.
func (r *registrar) online(w who) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.sessions[w]
	return m != nil && m.online()
}

// operator is the name of the operator who signed a device in; "" for one that came in by a key.
func (r *registrar) operator(m *session) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return m.grant.User
}

// changed notes that something about a device here changed.
func (r *registrar) changed(w who) { r.presence.Changed(w.account, w.cuid) }

// oneByOne lets one sign-in of each cuid go on at a time.
type oneByOne struct {
	mu sync.Mutex
	of map[who]chan struct{} // closed when that one is done
}

// alone waits until nobody else signs in with this cuid here.
func (o *oneByOne) alone(ctx context.Context, w who) (done func(), err error) {
	for {
		o.mu.Lock()
		other := o.of[w]
		if other == nil {
			mine := make(chan struct{})
			if o.of == nil {
				o.of = map[who]chan struct{}{}
			}
			o.of[w] = mine
			o.mu.Unlock()
			return func() {
				o.mu.Lock()
				delete(o.of, w)
				o.mu.Unlock()
				close(mine)
			}, nil
		}
		o.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
