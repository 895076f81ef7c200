// One station: how it is, what happened there, and how its last calls were heard.

import { html, useState } from './html.js';
import { ask } from './hub.js';
import { Call, Door, Empty, Since, State, Time, lasting, useAsk, useTick } from './parts.js';
import { fill, texts } from './texts.js';

export function Station({ hub, cuid }) {
  useTick(10_000);
  const [found, find] = useState('');
  const last = hub.client.current?.id;
  const notes = useAsk(() => ask(`/v1/notes?station=${encodeURIComponent(cuid)}&limit=100`), [last]);
  const calls = useAsk(() => ask(`/v1/calls?cuid=${encodeURIComponent(cuid)}&limit=10`), [last]);
  const d = hub.devices.get(cuid) ?? { cuid, state: 'offline' };
  const heard = (notes.value?.notes ?? []).filter((n) => n.quality).slice(0, 20).reverse();
  const events = (notes.value?.notes ?? []).filter((n) => !n.quality).slice(0, 20);
  const identify = () => hub.client.identify(cuid).then(() => find(texts.identifying), (err) => find(err.message));
  const faults = Object.entries(d.faults ?? {});
  return html`
    <div class="bar"><div><p><a href="#/">${texts.stations}</a></p><h1>${d.name || cuid}</h1></div>
      <div class="bar">${d.state !== 'offline' && html`<${Door} hub=${hub} d=${d} /><button onClick=${identify}>${texts.identify}</button><${Call} hub=${hub} to=${cuid} context=${fill(texts.operatorCalls, { name: hub.client.name ?? texts.theOperator })} />`}</div></div>
    ${found && html`<p role="status">${found}</p>`}
    <div class="split">
      <div class="grid">
        <section class="box"><h2>${texts.status}</h2><dl>
          <dt>${texts.address}</dt><dd>${cuid}</dd>
          <dt>${texts.state}</dt><dd><${State} state=${d.state} /></dd>
          <dt>${texts.led}</dt><dd>${(d.light ?? '–').replaceAll('_', ' ')}</dd>
          <dt>${texts.program}</dt><dd>${d.agent ?? '–'}</dd>
          <dt>${texts.hub}</dt><dd>${d.hub ?? '–'}</dd>
          <dt>${d.state === 'offline' ? texts.lastSeen : texts.onlineFor}</dt><dd>${d.state === 'offline' ? (d.last_seen ? html`<${Time} at=${d.last_seen} />` : texts.neverSeen) : html`<${Since} at=${d.since} />`}</dd>
        </dl></section>
        <section class="box"><h2>${texts.health}</h2>
          ${faults.length === 0 ? html`<p>${d.state === 'offline' ? texts.healthUnknown : texts.healthy}</p>`
    : html`<ul>${faults.map(([part, text]) => html`<li><b>${part}</b>: ${text} ${d.codes?.[part] && html`<code>${d.codes[part]}</code>`}</li>`)}</ul>`}
        </section>
        <section class="box whole"><h2>${texts.quality}</h2>
          ${heard.length === 0 ? html`<p class="quiet">${texts.noQuality}</p>` : html`<div class="grid">
            <${Chart} title=${texts.delay} unit="ms" values=${heard.map((n) => n.quality.delay_ms)} high=${150} />
            <${Chart} title=${texts.loss} unit="%" values=${heard.map((n) => n.quality.loss * 100)} high=${5} />
            <${Chart} title=${texts.jitter} unit="ms" values=${heard.map((n) => n.quality.jitter_ms)} high=${30} /></div>`}
        </section>
      </div>
      <div class="grid">
        <section class="box"><h2>${texts.events}</h2>
          ${notes.error ? html`<p class="error">${notes.error.message}</p>` : events.length === 0 ? html`<p class="quiet">${texts.noEvents}</p>`
    : html`<ul>${events.map((n) => html`<li><b>${n.kind === 'visit' ? texts.visit : texts.door[n.result] ?? n.result}</b> <${Time} at=${n.at} /><br /><span class="quiet">${[n.who, n.why].filter(Boolean).join(': ')}</span></li>`)}</ul>`}
        </section>
        <section class="box"><h2>${texts.lastCalls}</h2>
          ${(calls.value?.calls ?? []).length === 0 ? html`<p class="quiet">${texts.noCallsYet}</p>`
    : html`<ul>${calls.value.calls.map((c) => html`<li><${State} state=${c.status} /> ${c.from === cuid ? fill(texts.callTo, { cuid: c.to }) : fill(texts.callFrom, { cuid: c.from })} · <${Time} at=${c.invited_at} /> ${c.duration_ms > 0 ? html`· ${lasting(c.duration_ms)}` : ''}</li>`)}</ul>`}
        </section>
      </div>
    </div>
    ${!hub.devices.has(cuid) && html`<${Empty} title=${texts.notSignedIn}>${texts.notSignedInWhy}<//>`}`;
}

/** Chart has a bar for each call, the newest at the end. */
function Chart({ title, unit, values, high }) {
  const top = Math.max(high, ...values);
  const last = values[values.length - 1];
  return html`<div class="chart"><span>${title} <small>${fill(texts.chartLast, { value: last.toFixed(unit === '%' ? 1 : 0), unit })}</small></span>
    <svg viewBox="0 0 200 40" preserveAspectRatio="none" role="img" aria-label=${fill(texts.chartAll, { title, n: values.length, unit, values: values.map((v) => v.toFixed(0)).join(', ') })}>
      <line x1="0" y1="39.5" x2="200" y2="39.5" />
      ${values.map((v, i) => html`<rect class=${v > high ? 'high' : ''} x=${i * 10 + 1} width="8" y=${39 - Math.max(1, (v / top) * 38)} height=${Math.max(1, (v / top) * 38)} />`)}
    </svg></div>`;
}
