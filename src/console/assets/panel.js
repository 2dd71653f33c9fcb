// The side panel: what is selected, in numbers.

import { series } from './api.js';
import { lockIcon } from './draw.js';
import { bytes, errorPercent, escape, mainRate, milliseconds, nodeName, rate, COLORS } from './format.js';
import { state } from './state.js';

const row = (...cells) => `<tr>${cells.map((cell, index) => (index ? `<td>${cell}</td>` : `<th scope="row">${cell}</th>`)).join('')}</tr>`;
const table = (head, rows) => `<table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
const health = (value) => `<span class="health" style="--color:${COLORS[value] ?? COLORS.Idle}">${escape(value ?? 'Idle')}</span>`;

/** Sums of the request edges given. */
function requests(edges) {
  const sum = { rate: 0, errors: 0 };
  for (const { traffic } of edges) {
    if (!traffic.protocol || traffic.protocol === 'tcp') continue;
    sum.rate += mainRate(traffic);
    sum.errors += (mainRate(traffic) * errorPercent(traffic)) / 100;
  }
  return sum;
}

function requestRow(name, edges) {
  const { rate: total, errors } = requests(edges);
  const percent = total ? (100 * errors) / total : 0;
  return row(name, rate(total), `${(100 - percent).toFixed(1)}%`, percent ? `<b class="bad">${percent.toFixed(1)}%</b>` : '0%');
}

function requestTable(rows) {
  return table(['Requests', 'per second', 'success', 'errors'], rows);
}

function tcpLine(edges) {
  const total = edges.filter(({ traffic }) => traffic.protocol === 'tcp').reduce((sum, { traffic }) => sum + mainRate(traffic), 0);
  return total ? `<p>TCP traffic <b>${bytes(total)}/s</b></p>` : '';
}

function responses(traffic) {
  const rows = Object.entries(traffic.responses ?? {}).map(([code, { flags, hosts }]) =>
    row(escape(code), Object.entries(flags).map(([flag, share]) => `${escape(flag)} <small>${share}%</small>`).join('<br>'),
      Object.entries(hosts).map(([host, share]) => `${escape(host)} <small>${share}%</small>`).join('<br>')));
  return rows.length ? table(['Code', 'Flags', 'Hosts'], rows) : '';
}

function sparkline(values, title, text, color) {
  const peak = Math.max(...values, 1e-9);
  const step = 240 / Math.max(values.length - 1, 1);
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(38 - (34 * value) / peak).toFixed(1)}`).join(' ');
  return `<figure class="spark"><figcaption>${title}<b>${text}</b></figcaption><svg viewBox="0 0 240 40" preserveAspectRatio="none">` +
    `<polygon points="0,40 ${points} 240,40" fill="${color}22"/><polyline points="${points}" fill="none" stroke="${color}" stroke-width="1.6"/></svg></figure>`;
}

function charts(side, title) {
  if (!side || !side.rate.some((value) => value > 0)) return '';
  const last = (values) => values.at(-1) ?? 0;
  return sparkline(side.rate, `${title} requests`, `${rate(last(side.rate))}/s`, COLORS.tcp) +
    (side.errors.some((value) => value > 0) ? sparkline(side.errors, `${title} errors`, `${rate(last(side.errors))}/s`, COLORS.Failure) : '') +
    sparkline(side.p95, `${title} latency, p95`, milliseconds(last(side.p95)), '#5e40be');
}

async function addCharts(panel, kind, id) {
  const slot = panel.querySelector('.charts');
  const answer = await series(state, kind, id).catch(() => null);
  if (slot.isConnected && answer) slot.innerHTML = charts(answer.inbound, kind === 'edge' ? '' : 'Inbound') + charts(answer.outbound, 'Outbound');
}

function latencies(edge) {
  const times = edge.responseTimes ?? {};
  if (!('avg' in times)) return '';
  return table(['Response time', 'avg', 'p50', 'p95', 'p99'], [row('', ...['avg', 'p50', 'p95', 'p99'].map((name) => (name in times ? milliseconds(times[name]) : '–')))]);
}

function edgePanel(edge, nodes) {
  const [source, target] = [nodes.get(edge.source), nodes.get(edge.target)];
  const secured = edge.isMTLS
    ? `<p class="secured">${lockIcon()} mTLS <b>${escape(edge.isMTLS)}%</b></p><dl>${edge.sourcePrincipal ? `<dt>from</dt><dd>${escape(edge.sourcePrincipal)}</dd>` : ''}${edge.destPrincipal ? `<dt>to</dt><dd>${escape(edge.destPrincipal)}</dd>` : ''}</dl>`
    : '<p class="muted">No mutual TLS seen on this edge.</p>';
  return `<h2>${escape(nodeName(source))} → ${escape(nodeName(target))}</h2><p>${health(edge.health)} ${escape(edge.traffic.protocol || 'no traffic')}</p>` +
    (edge.traffic.protocol === 'tcp' ? tcpLine([edge]) : requestTable([requestRow('Total', [edge])])) +
    latencies(edge) + responses(edge.traffic) + secured + '<div class="charts"></div>';
}

function nodePanel(node, edges) {
  const inbound = edges.filter((edge) => edge.target === node.id);
  const outbound = edges.filter((edge) => edge.source === node.id);
  const kind = node.isBox ? 'Application' : { service: 'Service', workload: 'Workload', app: 'Application', unknown: 'Unknown' }[node.nodeType] ?? node.nodeType;
  const facts = [
    ['Namespace', node.namespace], ['Workload', node.workload], ['Version', node.version],
    ['Services', (node.destServices ?? []).map((service) => `${service.name}.${service.namespace}`).join(', ')],
    ['Virtual service hosts', (node.hasVS?.hostnames ?? []).join(', ')],
  ].filter(([, value]) => value && value !== 'unknown');
  const slowest = inbound.map((edge) => edge.responseTimes?.p95).filter((value) => value !== undefined);
  return `<h2>${escape(nodeName(node))}</h2><p><span class="kind">${escape(kind)}</span> ${health(node.health)}</p>` +
    `<dl>${facts.map(([name, value]) => `<dt>${name}</dt><dd>${escape(value)}</dd>`).join('')}</dl>` +
    (node.hasMissingSC ? '<p class="warning">A pod of this workload runs without sidecar.</p>' : '') +
    requestTable([requestRow('Inbound', inbound), requestRow('Outbound', outbound)]) +
    (slowest.length ? `<p>Slowest inbound p95 <b>${milliseconds(Math.max(...slowest))}</b></p>` : '') +
    tcpLine([...inbound, ...outbound]) + '<div class="charts"></div>';
}

function boxPanel(box, all, edges) {
  const members = [...all.values()].filter((node) => node.parent === box.id);
  const rows = members.map((node) => requestRow(escape(node.version), edges.filter((edge) => edge.target === node.id)));
  return `<h2>${escape(box.app)}</h2><p><span class="kind">Application</span> ${members.length} versions</p>${requestTable(rows)}`;
}

function graphPanel(nodes, edges, unwatched) {
  const count = (type) => [...nodes.values()].filter((node) => node.nodeType === type && !node.isBox).length;
  const apps = new Set([...nodes.values()].filter((node) => node.nodeType === 'app').map((node) => `${node.namespace}/${node.app}`)).size;
  const roots = edges.filter((edge) => nodes.get(edge.source)?.isRoot);
  const finest = edges.filter((edge) => nodes.get(edge.target)?.nodeType !== 'service' || state.graphType === 'service');
  const secured = edges.filter((edge) => edge.isMTLS && edge.traffic.protocol);
  const carrying = edges.filter((edge) => edge.traffic.protocol);
  return `<h2>Current graph</h2><p>${apps} apps · ${count('service')} services · ${count('workload')} workloads · ${edges.length} edges</p>` +
    requestTable([requestRow('Entering', roots), requestRow('In all', finest)]) + tcpLine(finest) +
    (carrying.length ? `<p>${lockIcon()} <b>${secured.length}</b> of ${carrying.length} edges with traffic use mTLS.</p>` : '') +
    (unwatched ? `<p class="muted">${unwatched} s of this window passed before this page's server began to watch; averages since the proxies started stand for them.</p>` : '') +
    '<p class="muted">Select a node or an edge for its rates, latencies and identities.</p>';
}

/** Renders the panel for the selection in `state`; `unwatched` seconds of the window are averages. */
export function showPanel(panel, elements, unwatched) {
  const nodes = new Map(elements.nodes.map((node) => [node.data.id, node.data]));
  const edges = elements.edges.map((edge) => edge.data);
  const edge = edges.find((candidate) => candidate.id === state.selected);
  const node = nodes.get(state.selected);
  if (edge) panel.innerHTML = edgePanel(edge, nodes);
  else if (node?.isBox) panel.innerHTML = boxPanel(node, nodes, edges);
  else if (node) panel.innerHTML = nodePanel(node, edges);
  else panel.innerHTML = graphPanel(nodes, edges, unwatched);
  if (edge) addCharts(panel, 'edge', edge.id);
  else if (node && !node.isBox) addCharts(panel, 'node', node.id);
}
