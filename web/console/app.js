// The operator's pages: one frame, and a page by the fragment of the address.

import { html, render, useEffect, useReducer, useState } from './html.js';
import { address, enter, leaveAddress, session, signIn, signOut, unusable } from './hub.js';
import { Admin } from './admin.js';
import { Calls } from './calls.js';
import { patiently } from './patience.js';
import { Settings } from './settings.js';
import { Station } from './station.js';
import { Stations } from './stations.js';
import { fill, texts } from './texts.js';

function SignIn({ done }) {
  const [error, fail] = useState('');
  const [busy, wait] = useState(false);
  const [queued, queue] = useState(false);
  const submit = async (e) => {
    e.preventDefault();
    fail('');
    wait(true);
    const form = Object.fromEntries(new FormData(e.target));
    try {
      await patiently(() => signIn(form), () => queue(true));
      done(await session().catch((err) => { throw err.code === 'ERR_INVALID_CREDENTIALS' ? new Error(texts.notKept) : err; }));
    } catch (err) {
      fail(err.message);
    }
    queue(false);
    wait(false);
  };
  return html`<main class="card">
    <h1>${texts.signIn}</h1>
    <p class="quiet">${texts.signInWhy}</p>
    <form onSubmit=${submit}>
      <label>${texts.account} <input name="account" required autocomplete="organization" /></label>
      <label>${texts.yourName} <input name="name" required autocomplete="username" /></label>
      <label>${texts.password} <input name="password" type="password" required autocomplete="current-password" /></label>
      ${error && html`<p class="error" role="alert">${error}</p>`}
      ${queued && html`<p role="status">${texts.queued}</p>`}
      <button disabled=${busy}>${texts.signIn}</button>
    </form>
  </main>`;
}

/** Insecure is in the place of the sign-in where no browser would keep it: the page came over plain HTTP. */
const Insecure = () => html`<main class="card">
  <h1>${texts.notSecure}</h1>
  <p>${fill(texts.notSecureWhy, { origin: location.origin })}</p>
  <p>${texts.openByTLS} <a href="/trust">${texts.howToTLS}</a>${texts.howToTLSWhere}</p>
</main>`;

const pages = [['', texts.stations], ['calls', texts.calls], ['settings', texts.settings]];

/** place is the page that the address names: its name, and what of it. */
const place = () => decodeURIComponent(location.hash.slice(2)).split('/');

function App() {
  const [who, meet] = useState(undefined); // null: nobody
  const [hub, reach] = useState(null);
  const [trouble, complain] = useState('');
  const [[page, what], go] = useState(place());
  const [, changed] = useReducer((n) => n + 1, 0);
  const [round, again] = useReducer((n) => n + 1, 0);
  const [moved, tell] = useState('');

  useEffect(() => {
    let timer;
    const recall = () => session().then((w) => { complain(''); meet(w); }, (err) => {
      if (err.code === 'ERR_INVALID_CREDENTIALS') return meet(null);
      complain(err.message); // the browser may be signed in, so it is asked until it is known
      timer = setTimeout(recall, err.retry_after_ms ?? 2000);
    });
    recall();
    const moved = () => go(place());
    addEventListener('hashchange', moved);
    return () => {
      clearTimeout(timer);
      removeEventListener('hashchange', moved);
    };
  }, []);
  useEffect(() => {
    if (!who) return;
    const cuid = address(who.name);
    let left = false, client, timer;
    const refused = (err) => {
      if (left) return;
      if (unusable(err)) { // whoever has the address keeps it, and this browser goes on with another
        const why = err.code === 'ERR_ALREADY_SIGNEDIN' ? texts.addressInUse : texts.addressInvalid;
        tell(fill(why, { cuid, mine: leaveAddress(cuid, who.name) }));
        return again();
      }
      complain(err.message);
      if (err.code === 'ERR_INVALID_CREDENTIALS') session().catch((e) => { if (!left && e.code === err.code) meet(null); });
      if (!client) timer = setTimeout(again, 5000);
    };
    enter(who, cuid, () => { if (!left) changed(); }, refused).then((h) => {
      client = h.client;
      if (left) return client.logout();
      complain('');
      reach(h);
    }, refused);
    return () => {
      left = true;
      clearTimeout(timer);
      client?.logout();
      reach(null);
    };
  }, [who, round]);

  if (!isSecureContext) return html`<${Insecure} />`;
  if (who === undefined) return trouble && html`<main class="page"><p class="alarm" role="alert">${trouble}</p></main>`;
  if (who === null) return html`<${SignIn} done=${meet} />`;
  const leave = async () => {
    await hub?.client.logout();
    try {
      await signOut();
      meet(null);
    } catch (err) { // the session goes on, so it is shown
      complain(err.message);
      again();
    }
  };
  const state = hub ? hub.client.state : 'connecting';
  return html`
    <header>
      <a class="logo" href="#/"><img src="/console/icon.svg" alt="" />${texts.product}</a>
      <nav aria-label=${texts.pages}>${pages.concat(who.role === 'administrator' ? [['admin', texts.administration]] : []).map(([name, title]) => html`<a href=${`#/${name}`} aria-current=${page === name || (page === 'station' && name === '') ? 'page' : undefined}>${title}</a>`)}</nav>
      <div class="me"><span class=${`state ${state}`} role="status">${texts.connection[state]}</span><span class="quiet">${who.name}</span><button onClick=${leave}>${texts.signOut}</button></div>
    </header>
    <main class="page">
      ${trouble && html`<p class="alarm" role="alert">${trouble}</p>`}
      ${moved && html`<p class="alarm bar" role="alert"><span>${moved}</span><button onClick=${() => tell('')}>${texts.close}</button></p>`}
      ${hub && (page === 'calls' ? html`<${Calls} hub=${hub} />` : page === 'settings' ? html`<${Settings} hub=${hub} who=${who} />`
    : page === 'admin' ? html`<${Admin} who=${who} />` : page === 'station' ? html`<${Station} key=${what} hub=${hub} cuid=${what} />` : html`<${Stations} hub=${hub} />`)}
    </main>`;
}

render(html`<${App} />`, document.getElementById('app'));

