// The account, for an administrator: keys, groups, operators.

import { html, useEffect, useState } from './html.js';
import { ask } from './hub.js';
import { Time } from './parts.js';
import { fill, texts } from './texts.js';

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
  const remove = (what, id, sure, done) => confirm(fill(sure, { id })) && change(`${what}/${encodeURIComponent(id)}`, { method: 'DELETE' }, fill(done, { id }));
  const newKey = async () => {
    const reply = await change('keys', { method: 'POST' }, '');
    if (reply) keep(reply.key);
  };
  const newGroup = async (e) => {
    e.preventDefault();
    const form = e.target;
    const f = Object.fromEntries(new FormData(form));
    const body = { members: f.members.split(/[\s,]+/).filter(Boolean), mode: f.mode, each_ms: 15000 };
    if (await change(`groups/${encodeURIComponent(f.id)}`, { method: 'PUT', body }, fill(texts.groupSaved, f))) form.reset();
  };
  const newUser = async (e) => {
    e.preventDefault();
    const form = e.target;
    const f = Object.fromEntries(new FormData(form));
    if (await change('users', { method: 'POST', body: f }, fill(texts.userAdded, f))) form.reset();
  };
  const changeUser = (name) => async (e) => {
    e.preventDefault();
    const form = e.target;
    const { password, role } = Object.fromEntries(new FormData(form));
    if (await change(`users/${encodeURIComponent(name)}`, { method: 'PUT', body: { role, password: password || undefined } }, fill(texts.userSaved, { name }))) {
      form.reset();
      if (name === who.name && password) location.reload(); // the session is another one now
    }
  };
  return html`
    <h1>${texts.administration}</h1>
    ${bad && html`<p class="alarm" role="alert">${bad}</p>`}
    ${said && html`<p role="status">${said}</p>`}
    ${account && html`<div class="grid">
      <section class="box"><h2>${texts.keys}</h2>
        <p class="quiet">${texts.keysWhy}</p>
        <ul>${account.keys.map((k) => html`<li class="bar" key=${k.id}><span><code>${k.id}</code> <small>${texts.keyCreated} <${Time} at=${k.created} /></small></span><button aria-label=${fill(texts.revokeKey, k)} onClick=${() => remove('keys', k.id, texts.revokeKeySure, texts.keyRevoked)}>${texts.revoke}</button></li>`)}</ul>
        ${key && html`<p role="status">${texts.newKey} <code>${key}</code></p>`}
        <div class="bar"><button class="main" onClick=${newKey}>${texts.createKey}</button></div>
      </section>
      <section class="box"><h2>${texts.groups}</h2>
        ${account.groups.length === 0 && html`<p class="quiet">${texts.groupsWhy}</p>`}
        <ul>${account.groups.map((g) => html`<li class="bar" key=${g.id}><span><b>${g.id}</b> <small>${texts[g.mode] ?? texts.parallel}</small><br />${g.members.join(', ')}</span><button aria-label=${fill(texts.removeGroup, g)} onClick=${() => remove('groups', g.id, texts.removeGroupSure, texts.groupRemoved)}>${texts.remove}</button></li>`)}</ul>
        <form onSubmit=${newGroup}>
          <label>${texts.name} <input name="id" required placeholder=${texts.groupExample} /></label>
          <label>${texts.members} <input name="members" required placeholder=${texts.membersExample} /></label>
          <label>${texts.ring} <select name="mode"><option value="parallel">${texts.parallel}</option><option value="sequence">${texts.sequence}</option></select></label>
          <button>${texts.saveGroup}</button>
        </form>
      </section>
      <section class="box"><h2>${texts.operators}</h2>
        <ul>${account.users.map((u) => html`<li class="bar" key=${u.name}><span><b>${u.name}</b> <small>${texts[u.role] ?? u.role}</small></span>${u.name !== who.name && html`<button aria-label=${fill(texts.removeUser, { id: u.name })} onClick=${() => remove('users', u.name, texts.removeUserSure, texts.userRemoved)}>${texts.remove}</button>`}
          <details><summary aria-label=${fill(texts.changeUser, u)}>${texts.change}</summary><form onSubmit=${changeUser(u.name)}>
            <label>${texts.newPassword} <input name="password" type="password" minlength="10" autocomplete="new-password" /><small>${fill(texts.newPasswordWhy, u)}</small></label>
            <label>${texts.role} <select name="role" value=${u.role}><option value="operator">${texts.operator}</option><option value="administrator">${texts.administrator}</option></select></label>
            <button>${fill(texts.saveUser, u)}</button>
          </form></details></li>`)}</ul>
        <form onSubmit=${newUser}>
          <label>${texts.name} <input name="name" required minlength="3" maxlength="50" autocomplete="off" /></label>
          <label>${texts.password} <input name="password" type="password" required minlength="10" autocomplete="new-password" /><small>${texts.passwordWhy}</small></label>
          <label>${texts.role} <select name="role"><option value="operator">${texts.operatorMay}</option><option value="administrator">${texts.administratorMay}</option></select></label>
          <button>${texts.addUser}</button>
        </form>
      </section>
    </div>`}`;
}
