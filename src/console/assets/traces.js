// The traces page: a list of the latest traces, and one of them as a waterfall.

import { escape } from './format.js';
import { ask, links, microseconds } from './pages.js';

const element = (id) => document.getElementById(id);
const COLORS = ['#0f4c81', '#5b8a3c', '#b8660b', '#7a4fa3', '#1f8a8a', '#a33b5b', '#6b6b2a', '#3b5ba3'];
let traces = [];

const service = (span) => span.localEndpoint?.serviceName || 'unknown';
const color = (name) => COLORS[[...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % COLORS.length];
const length = (spans) => Math.max(...spans.map((span) => span.timestamp + span.duration)) - spans[0].timestamp;
const failed = (span) => span.tags?.error !== undefined && span.tags.error !== 'false';

function root(spans) {
  const ids = new Set(spans.map((span) => span.id));
  return spans.find((span) => !ids.has(span.parentId)) ?? spans[0];
}

function list() {
  if (!traces.length) {
    element('list').innerHTML = '<p class="none">No traces yet. Traces come from requests that were sampled: set a tracing provider and ' +
      '<code>randomSamplingPercentage</code> in a Telemetry resource, then send requests.</p>';
    return;
  }
  const rows = traces.map((spans) => {
    const first = root(spans);
    const services = [...new Set(spans.map(service))];
    const errors = spans.filter(failed).length;
    return `<tr data-id="${escape(first.traceId)}" tabindex="0"><td>${new Date(spans[0].timestamp / 1000).toLocaleTimeString()}</td>` +
      `<td>${escape(service(first))}: ${escape(first.name)}</td><td class="number">${spans.length}</td>` +
      `<td class="number">${services.length}</td><td class="number${errors ? ' bad' : ''}">${errors || ''}</td>` +
      `<td class="number">${microseconds(length(spans))}</td></tr>`;
  });
  element('list').innerHTML = '<table><thead><tr><th>Start</th><th>Trace</th><th class="number">Spans</th><th class="number">Services</th>' +
    `<th class="number">Errors</th><th class="number">Duration</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

/** Spans as a tree: children behind their parents, by start. */
function tree(spans) {
  const ids = new Set(spans.map((span) => span.id));
  const order = [];
  const visit = (span, depth) => {
    order.push([span, depth]);
    const children = spans.filter((child) => child !== span && (child.parentId === span.id || (child.shared && child.id === span.id && !span.shared)));
    children.filter((child) => !order.some(([seen]) => seen === child)).forEach((child) => visit(child, depth + 1));
  };
  spans.filter((span) => !ids.has(span.parentId) && !span.shared).forEach((span) => visit(span, 0));
  spans.filter((span) => !order.some(([seen]) => seen === span)).forEach((span) => order.push([span, 0]));
  return order;
}

function show(id) {
  const spans = traces.find((trace) => trace[0].traceId === id);
  if (!spans) return;
  const [start, whole] = [spans[0].timestamp, Math.max(1, length(spans))];
  const lines = tree(spans).map(([span, depth]) => {
    const [left, width] = [((span.timestamp - start) / whole) * 100, (span.duration / whole) * 100];
    const tags = Object.entries(span.tags ?? {}).map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('');
    const beside = left + width > 70 ? `right:${100 - left}%` : `left:${left + width}%`;
    return `<div class="span" tabindex="0"><span class="what" style="padding-left:${depth * 16}px">${failed(span) ? '<span class="bad">⚠ </span>' : ''}` +
      `${escape(service(span))} <em>${escape(span.kind?.toLowerCase() ?? '')} ${escape(span.name)}</em></span>` +
      `<span class="bar" style="--color:${color(service(span))}"><i style="left:${left}%;width:${width}%"></i><b style="${beside}">&nbsp;${microseconds(span.duration)}&nbsp;</b></span></div>` +
      `<dl class="tags" hidden>${tags}</dl>`;
  });
  element('trace').innerHTML = `<h2>Trace ${escape(id)}</h2>${lines.join('')}`;
  history.replaceState(null, '', `?trace=${encodeURIComponent(id)}`);
}

async function refresh() {
  const query = new URLSearchParams({ limit: element('limit').value, serviceName: element('service').value });
  try {
    traces = await ask(`traces/?${query}`);
    list();
  } catch (error) {
    element('list').innerHTML = `<p class="none bad">${escape(error.message)}</p>`;
  }
  const chosen = element('service').value;
  const names = [...new Set(traces.flat().map(service).concat(chosen || []))].sort();
  element('service').innerHTML = `<option value="">All</option>${names.map((name) => `<option${name === chosen ? ' selected' : ''}>${escape(name)}</option>`).join('')}`;
}

const pick = (event) => {
  if (event.type === 'keydown' && event.key !== 'Enter') return;
  const row = event.target.closest('tr[data-id]');
  if (row) { show(row.dataset.id); element('trace').scrollIntoView({ behavior: 'smooth' }); }
  const span = event.target.closest('.span');
  if (span) span.nextElementSibling.hidden = !span.nextElementSibling.hidden;
};
for (const kind of ['click', 'keydown']) document.addEventListener(kind, pick);
element('reload').onclick = refresh;
element('service').onchange = refresh;
element('limit').onchange = refresh;
links();
refresh().then(() => {
  const wanted = new URLSearchParams(location.search).get('trace');
  if (wanted) {
    show(wanted);
    element('trace').scrollIntoView();
  }
});
