// All devices of the account, as they are just now; what needs somebody comes first.

import { html } from './html.js';
import { ask } from './hub.js';
import { Call, Door, Empty, Since, State, Time, useAsk, useTick } from './parts.js';
import { fill, texts } from './texts.js';

/** silent are the stations that must be there, and are not since too long. */
function silent(hub, expected) {
  return expected.filter(({ cuid, silent_after_ms }) => {
    const d = hub.devices.get(cuid);
    return (!d || d.state === 'offline') && Date.now() - (d?.last_seen ? Date.parse(d.last_seen) : hub.since) > silent_after_ms;
  });
}

/** notTaken are the latest calls to a device that nobody took: also those that the caller gave up. */
async function notTaken(cuid) {
  const pages = await Promise.all(['missed', 'cancelled'].map((status) => ask(`/v1/calls?status=${status}&cuid=${cuid}&limit=20`)));
  const all = pages.flatMap((p) => p.calls).filter((c) => c.from !== cuid && c.reason !== 'answered_elsewhere');
  return all.sort((a, b) => b.invited_at.localeCompare(a.invited_at)).slice(0, 5);
}

export function Stations({ hub }) {
  useTick(10_000);
  const last = hub.client.current?.id;
  const expected = useAsk(() => ask('/v1/expect'), []).value?.stations ?? [];
  const missed = useAsk(() => notTaken(hub.client.cuid), [last]).value ?? [];
  const away = silent(hub, expected);
  const order = { ringing: 0, degraded: 1, busy: 2, idle: 3, dnd: 3, offline: 4 };
  const absent = expected.filter(({ cuid }) => !hub.devices.has(cuid)).map(({ cuid }) => ({ cuid, state: 'offline' }));
  const all = [...hub.devices.values(), ...absent].filter((d) => d.cuid !== hub.client.cuid).sort((a, b) => order[a.state] - order[b.state] || a.cuid.localeCompare(b.cuid));
  return html`
    <h1>${texts.stations}</h1>
    ${away.map(({ cuid }) => html`<p class="alarm" role="alert">${fill(texts.offlineAlarm, { cuid })}</p>`)}
    ${missed.length > 0 && html`<section class="box" aria-labelledby="missed">
      <h2 id="missed">${texts.missedCalls}</h2>
      <ul>${missed.map((c) => html`<li class="bar"><span><b>${hub.devices.get(c.from)?.name ?? c.from}</b> · ${c.context} · <${Time} at=${c.invited_at} /></span><${Call} hub=${hub} to=${c.from} context=${texts.callingBack} title=${texts.callBack} /></li>`)}</ul>
    </section>`}
    ${all.length === 0 ? html`<div class="box"><${Empty} title=${texts.noStations}>${fill(texts.noStationsWhy, { cuid: hub.client.cuid })}<//></div>`
    : html`<div class="grid">${all.map((d) => html`<${Card} key=${d.cuid} hub=${hub} d=${d} />`)}</div>`}`;
}

function Card({ hub, d }) {
  const faults = Object.entries(d.faults ?? {});
  return html`<article class="box">
    <h2><a href=${`#/station/${d.cuid}`}>${d.name || d.cuid}</a></h2>
    <p class="quiet">${d.name ? d.cuid : ''}</p>
    <p><${State} state=${d.state} /></p>
    ${faults.slice(0, 2).map(([part, text]) => html`<p><b>${part}</b>: ${text}</p>`)}
    ${d.light && d.light !== 'idle' && html`<p class="quiet">${texts.led}: ${d.light.replaceAll('_', ' ')}</p>`}
    <p class="quiet">${d.state === 'offline' ? d.last_seen ? html`${texts.lastSeen} <${Time} at=${d.last_seen} />` : texts.neverSeen : html`${texts.onlineFor} <${Since} at=${d.since} />`}</p>
    <div class="bar">${d.state !== 'offline' && html`<${Call} hub=${hub} to=${d.cuid} context=${fill(texts.operatorCalls, { name: hub.client.name ?? texts.theOperator })} />`}<${Door} hub=${hub} d=${d} /></div>
  </article>`;
}
