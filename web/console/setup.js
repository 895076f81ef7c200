// Makes the first operator with the code in the address. A fragment never leaves the browser by itself.

import { again } from '/sdk/again.js';
import { texts } from './texts.js';

const code = location.hash.slice(1);
if (isSecureContext) history.replaceState(null, '', location.pathname); // else the address is still needed, with https

const $ = (id) => document.getElementById(id);
const form = $('form');

function fail(text) {
  $('error').textContent = text;
  $('error').hidden = false;
}

if (!isSecureContext) {
  form.hidden = $('about').hidden = true;
  $('insecure').hidden = false;
} else if (!code) fail(texts.noCode);

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  $('error').hidden = true;
  const button = form.querySelector('button');
  button.disabled = true;
  try {
    const { account, name, password } = Object.fromEntries(new FormData(form));
    const reply = await fetch('/v1/setup', { method: 'POST', body: JSON.stringify({ account, name, password, code }), redirect: 'error' });
    const body = await reply.json();
    if (!reply.ok) return fail(body.message);
    $('who').textContent = body.name;
    $('next').textContent = `intercom-hub key new -account ${body.account}`;
    $('signed').hidden = !(await again(() => fetch('/v1/session', { redirect: 'error' }))).ok;
    form.hidden = true;
    $('done').hidden = false;
  } catch {
    fail(texts.noAnswer);
  } finally {
    button.disabled = false;
  }
});
