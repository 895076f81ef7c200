// The history of calls.

import { html, useEffect, useState } from './html.js';
import { ask } from './hub.js';
import { Call, Empty, State, Time, lasting } from './parts.js';
import { texts } from './texts.js';

const outcomes = ['over', 'missed', 'declined', 'cancelled', 'failed'];

export function Calls({ hub }) {
  const [filter, choose] = useState({ status: '', cuid: '' });
  const [records, show] = useState(undefined);
  const [next, setNext] = useState('');
  const [error, fail] = useState('');
  const last = hub.client.current?.id;
  const load = async (after) => {
    const q = new URLSearchParams({ limit: '50' });
    for (const [k, v] of Object.entries({ ...filter, after })) if (v) q.set(k, v);
    try {
      const page = await ask(`/v1/calls?${q}`);
      show((was) => (after ? [...was, ...page.calls] : page.calls));
      setNext(page.next ?? '');
      fail('');
    } catch (err) {
      fail(err.message);
    }
  };
  useEffect(() => { load(''); }, [filter.status, filter.cuid, last]);
  const set = (e) => choose({ ...filter, [e.target.name]: e.target.value });
  const name = (cuid) => hub.devices.get(cuid)?.name ?? cuid;
  return html`
    <h1>${texts.calls}</h1>
    <div class="filters">
      <label>${texts.outcome} <select name="status" value=${filter.status} onChange=${set}><option value="">${texts.all}</option>${outcomes.map((o) => html`<option value=${o}>${texts.states[o]}</option>`)}</select></label>
      <label>${texts.station} <select name="cuid" value=${filter.cuid} onChange=${set}><option value="">${texts.all}</option>${[...hub.devices.keys()].sort().map((c) => html`<option value=${c}>${name(c)}</option>`)}</select></label>
    </div>
    ${error && html`<p class="alarm" role="alert">${error}</p>`}
    <section class="box">
      ${records === undefined ? html`<p class="quiet">${texts.loading}</p>` : records.length === 0 ? html`<${Empty} title=${texts.noCalls}>${filter.status || filter.cuid ? texts.noCallsFilter : texts.noCallsWhy}<//>`
    : html`<table class="wide"><thead><tr><th>${texts.outcome}</th><th>${texts.from}</th><th>${texts.to}</th><th>${texts.reason}</th><th>${texts.when}</th><th class="number">${texts.length}</th><td></td></tr></thead>
        <tbody>${records.map((c) => html`<tr key=${c.call}>
          <td><${State} state=${c.status} /> ${c.reason !== c.status && c.reason !== 'hangup' && html`<small>${c.reason.replaceAll('_', ' ')}</small>`}</td>
          <td>${name(c.from)}</td><td>${name(c.to)}</td><td>${c.context}</td><td><${Time} at=${c.invited_at} /></td><td class="number">${c.duration_ms > 0 ? lasting(c.duration_ms) : ''}</td>
          <td>${c.status === 'missed' && c.from !== hub.client.cuid && hub.devices.has(c.from) && html`<${Call} hub=${hub} to=${c.from} context=${texts.callingBack} title=${texts.callBack} />`}</td>
        </tr>`)}</tbody></table>
      ${next && html`<div class="bar"><button onClick=${() => load(next)}>${texts.olderCalls}</button></div>`}`}
    </section>`;
}
