// The metrics page: services and workloads as tables that refresh by themselves.

import { bytes, escape, milliseconds, rate } from './format.js';
import { ask, links } from './pages.js';

const element = (id) => document.getElementById(id);
let metrics = { services: [], workloads: [] };

const number = (text, bad = false) => `<td class="number${bad ? ' bad' : ''}">${text}</td>`;
const time = (value) => number(value === undefined ? '' : milliseconds(value));

function line(row) {
  const success = row.success === undefined ? '' : `${row.success.toFixed(row.success < 100 ? 1 : 0)} %`;
  const tcp = row.tcpSent || row.tcpReceived ? `${bytes(row.tcpReceived)}/s in, ${bytes(row.tcpSent)}/s out` : '';
  return `<tr><td>${escape(row.name)}</td><td>${escape(row.namespace)}</td>${number(rate(row.rate))}${number(success, row.success < 95)}` +
    `${number(rate(row.rate4xx))}${number(rate(row.rate5xx), row.rate5xx > 0)}${time(row.p50)}${time(row.p90)}${time(row.p99)}${number(tcp)}</tr>`;
}

function table(rows) {
  const find = element('find').value.trim().toLowerCase();
  const shown = rows.filter((row) => `${row.name} ${row.namespace}`.toLowerCase().includes(find));
  if (!shown.length) return '<p class="none">No traffic yet in this window.</p>';
  const heads = ['Requests/s', 'Success', '4xx/s', '5xx/s', 'p50', 'p90', 'p99', 'TCP'];
  return `<table><thead><tr><th>Name</th><th>Namespace</th>${heads.map((head) => `<th class="number">${head}</th>`).join('')}</tr></thead>` +
    `<tbody>${shown.map(line).join('')}</tbody></table>`;
}

function render() {
  for (const kind of ['services', 'workloads']) element(kind).innerHTML = table(metrics[kind]);
}

async function refresh() {
  try {
    metrics = await ask(`metrics?duration=${element('duration').value}`);
    render();
  } catch (error) {
    element('services').innerHTML = `<p class="none bad">${escape(error.message)}</p>`;
  }
}

element('duration').onchange = refresh;
element('find').oninput = render;
links();
refresh();
setInterval(refresh, 5000);
