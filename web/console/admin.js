// The account, for an administrator: keys, groups, operators.

import { html, useEffect, useState } from './vendor/htm-preact.js';
import { ask } from './hub.js';
import { Time } from './parts.js';

const path = '/v1/account';

export function Admin({ who }) {
  const [account, show] = useState(undefined);
  const [said, say] = useState('');
  const [bad, fail] = useState('');
  const [key, keep] = useState('');
  const load = () => ask(path).then(show, (err) => fail(err.message));
  useEffect(() => { load(); }, []);
  /** change asks for a change, and shows what is so then. */
  const change = async (what, options, done) => {
    say('');
    fail('');
    try {
      const reply = await ask(`${path}/${what}`, options);
      await load();
      say(done);
      return reply ?? {};
    } catch (err) {
      fail(err.message);
      return undefined;
    }
  };
  const remove = (what, name, id) => confirm(`Take the ${name} ${id} away?`) && change(`${what}/${encodeURIComponent(id)}`, { method: 'DELETE' }, `The ${name} ${id} is gone.`);
  const newKey = async () => {
    const reply = await change('keys', { method: 'POST' }, '');
    if (reply) keep(reply.key);
  };
  const newGroup = async (e) => {
    e.preventDefault();
    const form = e.target;
    const f = Object.fromEntries(new FormData(form));
    const body = { members: f.members.split(/[\s,]+/).filter(Boolean), mode: f.mode, each_ms: 15000 };
    if (await change(`groups/${encodeURIComponent(f.id)}`, { method: 'PUT', body }, `Stations can call ${f.id} now.`)) form.reset();
  };
  const newUser = async (e) => {
    e.preventDefault();
    const form = e.target;
    const f = Object.fromEntries(new FormData(form));
    if (await change('users', { method: 'POST', body: f }, `${f.name} can sign in now.`)) form.reset();
  };
  const changeUser = (name) => async (e) => {
    e.preventDefault();
    const form = e.target;
    const { password, role } = Object.fromEntries(new FormData(form));
    if (await change(`users/${encodeURIComponent(name)}`, { method: 'PUT', body: { role, password: password || undefined } }, `${name} is changed.`)) {
      form.reset();
      if (name === who.name && password) location.reload(); // the session is another one now
    }
  };
  return html`
    <h1>Administration</h1>
    ${bad && html`<p class="alarm" role="alert">${bad}</p>`}
    ${said && html`<p role="status">${said}</p>`}
    ${account && html`<div class="grid">
      <section class="box"><h2>Keys</h2>
        <p class="quiet">A station or a server signs in with one. Two can be valid while you change them.</p>
        <ul>${account.keys.map((k) => html`<li class="bar" key=${k.id}><span><code>${k.id}</code> <small>made <${Time} at=${k.created} /></small></span><button aria-label=${`Revoke the key ${k.id}`} onClick=${() => remove('keys', 'key', k.id)}>Revoke</button></li>`)}</ul>
        ${key && html`<p role="status">The new key, shown this once: <code>${key}</code></p>`}
        <div class="bar"><button class="main" onClick=${newKey}>Make a key</button></div>
      </section>
      <section class="box"><h2>Groups</h2>
        ${account.groups.length === 0 && html`<p class="quiet">A group is several stations or browsers under one name.</p>`}
        <ul>${account.groups.map((g) => html`<li class="bar" key=${g.id}><span><b>${g.id}</b> <small>${g.mode === 'sequence' ? 'one after the other' : 'all at once'}</small><br />${g.members.join(', ')}</span><button aria-label=${`Remove the group ${g.id}`} onClick=${() => remove('groups', 'group', g.id)}>Remove</button></li>`)}</ul>
        <form onSubmit=${newGroup}>
          <label>Name <input name="id" required placeholder="house" /></label>
          <label>Members <input name="members" required placeholder="reception, office_1" /></label>
          <label>Ring <select name="mode"><option value="parallel">all at once</option><option value="sequence">one after the other</option></select></label>
          <button>Save the group</button>
        </form>
      </section>
      <section class="box"><h2>Operators</h2>
        <ul>${account.users.map((u) => html`<li class="bar" key=${u.name}><span><b>${u.name}</b> <small>${u.role}</small></span>${u.name !== who.name && html`<button aria-label=${`Remove ${u.name}`} onClick=${() => remove('users', 'operator', u.name)}>Remove</button>`}
          <details><summary aria-label=${`Change ${u.name}`}>Change</summary><form onSubmit=${changeUser(u.name)}>
            <label>New password <input name="password" type="password" minlength="10" autocomplete="new-password" /><small>Empty keeps the old one. A new one signs ${u.name} out elsewhere.</small></label>
            <label>Role <select name="role" value=${u.role}><option value="operator">operator</option><option value="administrator">administrator</option></select></label>
            <button>Save ${u.name}</button>
          </form></details></li>`)}</ul>
        <form onSubmit=${newUser}>
          <label>Name <input name="name" required minlength="3" maxlength="50" autocomplete="off" /></label>
          <label>Password <input name="password" type="password" required minlength="10" autocomplete="new-password" /><small>10 characters or more.</small></label>
          <label>Role <select name="role"><option value="operator">operator: sees and calls</option><option value="administrator">administrator: also this page</option></select></label>
          <button>Add the operator</button>
        </form>
      </section>
    </div>`}`;
}
