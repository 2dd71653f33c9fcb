// The picture: SVG made from the graph's elements. Elements are kept between refreshes, so that the eye can follow.

import { COLORS, edgeLabel, errorPercent, escape, mainRate, nodeName } from './format.js';
import { on, state } from './state.js';

const LOCK = 'M-4 0v-3a4 4 0 0 1 8 0v3h1v6h-10v-6z M-2.4 0h4.8v-3a2.4 2.4 0 0 0 -4.8 0z';

const SHAPES = {
  app: '<rect x="-20" y="-20" width="40" height="40" rx="4"/>',
  workload: '<circle r="21"/>',
  unknown: '<circle r="16" stroke-dasharray="4 3"/>',
  service: '<path d="M0 -22 L23 18 H-23 Z" stroke-linejoin="round"/>',
  serviceentry: '<path d="M-16 -18 H16 L24 18 H-24 Z" stroke-linejoin="round"/>',
};

function shapeOf(node) {
  return SHAPES[node.isServiceEntry ? 'serviceentry' : node.nodeType] ?? SHAPES.workload;
}

function badges(node) {
  const list = [];
  if (node.hasMissingSC) list.push(['MS', 'Missing sidecar', '#c9190b']);
  if (node.hasCB) list.push(['CB', 'Circuit breaker', '#5e40be']);
  if (node.hasVS) {
    const what = [
      node.hasTrafficShifting && 'traffic shifting', node.hasFaultInjection && 'fault injection', node.hasMirroring && 'mirroring',
      node.hasRequestTimeout && 'timeout', node.hasRequestRouting && 'request routing',
    ].filter(Boolean).join(', ');
    list.push(['VS', `Virtual service${what ? ': ' + what : ''}`, '#0f4c81']);
  }
  if (node.isGateway) list.push(['GW', 'Gateway', '#0f4c81']);
  return list.map(([text, title, color], index) =>
    `<g class="badge" transform="translate(${-18 + index * 22} -27)"><title>${escape(title)}</title>` +
    `<rect x="-10" y="-7" width="20" height="14" rx="4" fill="${color}"/><text y="3.3">${text}</text></g>`).join('');
}

function nodeMarkup(node, point) {
  const color = COLORS[node.health] ?? COLORS.Idle;
  const name = nodeName(node);
  const second = node.nodeType === 'app' && node.version ? node.version : node.isOutside ? node.namespace : '';
  const first = node.parent && node.version ? node.version : name;
  const below = (node.parent && node.version) || second === first ? '' : second;
  const width = Math.max(first.length, below.length) * 6.8 + 14;
  return `<g class="node ${node.isIdle ? 'idle' : ''} ${node.isOutside ? 'outside' : ''}" data-kind="node" data-id="${escape(node.id)}" ` +
    `transform="translate(${point.x} ${point.y})" tabindex="0" style="--color:${color}">` +
    `<title>${escape(`${node.nodeType} ${name} (${node.namespace}) — ${node.health}`)}</title>` +
    `<g class="shape">${shapeOf(node)}</g>${badges(node)}` +
    `<g class="label"><rect x="${-width / 2}" y="25" width="${width}" height="${below ? 31 : 17}" rx="3"/>` +
    `<text y="38">${escape(first)}</text>${below ? `<text class="second" y="51">${escape(below)}</text>` : ''}</g></g>`;
}

/** A curve from the rim of one node to the rim of the other; parallel edges are fanned out. */
function curve(from, to, offset) {
  if (from === to) return `M${from.x - 12} ${from.y - 20} c-30 -60 54 -60 24 0`;
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const start = { x: from.x + (dx / length) * 25, y: from.y + (dy / length) * 25 };
  const end = { x: to.x - (dx / length) * 28, y: to.y - (dy / length) * 28 };
  const bend = dx > 0 ? Math.min(dx * 0.3, 70) : 60;
  const lift = offset * 26 + (dx > 0 ? 0 : -70);
  return `M${start.x} ${start.y} C${start.x + bend} ${start.y + lift} ${end.x - bend} ${end.y + lift} ${end.x} ${end.y}`;
}

function edgeColor(edge) {
  if (!edge.traffic.protocol) return COLORS.Idle;
  if (edge.traffic.protocol === 'tcp') return COLORS.tcp;
  return COLORS[edge.health] ?? COLORS.Idle;
}

function edgeMarkup(edge, points, offset) {
  const path = curve(points.get(edge.source), points.get(edge.target), offset);
  const color = edgeColor(edge);
  const id = escape(edge.id);
  return `<g class="edge" data-kind="edge" data-id="${id}" style="--color:${color}" tabindex="0">` +
    `<path class="reach" d="${path}"/><path class="line" d="${path}" marker-end="url(#arrow)"/></g>`;
}

function labelMarkup(edge, svg) {
  const line = svg.querySelector(`.edge[data-id="${CSS.escape(edge.id)}"] .line`);
  const text = edgeLabel(edge, state.label);
  const lock = on('security') && edge.isMTLS;
  if (!line || (!text && !lock)) return '';
  const middle = line.getPointAtLength(line.getTotalLength() * 0.5);
  const width = text.length * 6.1 + (lock ? 20 : 8);
  const icon = lock
    ? `<path class="lock ${Number(edge.isMTLS) < 100 ? 'partly' : ''}" d="${LOCK}" transform="translate(${-width / 2 + 10} 0)"><title>mTLS ${escape(edge.isMTLS)}%</title></path>`
    : '';
  return `<g class="edge-label" data-kind="edge" data-id="${escape(edge.id)}" transform="translate(${middle.x} ${middle.y})" style="--color:${edgeColor(edge)}">` +
    `<rect x="${-width / 2}" y="-9" width="${width}" height="18" rx="9"/>${icon}` +
    `<text x="${lock ? 7 : 0}" y="4">${escape(text)}</text></g>`;
}

const DEFINITIONS = '<defs><marker id="arrow" viewBox="0 0 10 10" refX="7" refY="5" markerWidth="7" markerHeight="7" orient="auto">' +
  '<path d="M0 0 L10 5 L0 10 z" fill="context-stroke"/></marker></defs>';

/** Draws everything into the view group of `svg`. */
export function draw(svg, elements, { points, boxes }) {
  const nodes = elements.nodes.map((node) => node.data);
  const edges = elements.edges.map((edge) => edge.data).filter((edge) => points.has(edge.source) && points.has(edge.target));
  const parallel = new Map();
  const boxMarkup = nodes.filter((node) => boxes.has(node.id)).map((box) => {
    const { x, y, width, height } = boxes.get(box.id);
    return `<g class="box" data-kind="node" data-id="${escape(box.id)}"><rect x="${x}" y="${y}" width="${width}" height="${height}" rx="8"/>` +
      `<text x="${x + width / 2}" y="${y + height - 8}">${escape(box.app)}</text></g>`;
  });
  const edgesMarkup = edges.map((edge) => {
    const pair = `${edge.source}>${edge.target}`;
    const nth = parallel.get(pair) ?? 0;
    parallel.set(pair, nth + 1);
    return edgeMarkup(edge, points, nth % 2 ? (nth + 1) / 2 : -nth / 2);
  });
  const nodesMarkup = nodes.filter((node) => points.has(node.id)).map((node) => nodeMarkup(node, points.get(node.id)));
  const view = svg.querySelector('.view') ?? svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'g'));
  view.setAttribute('class', 'view');
  view.innerHTML = DEFINITIONS + boxMarkup.join('') + edgesMarkup.join('') + '<g class="dots"></g>' + nodesMarkup.join('') + '<g class="labels"></g>';
  view.querySelector('.labels').innerHTML = edges.map((edge) => labelMarkup(edge, svg)).join('');
  return edges;
}

const MAX_DOTS = 240;
let animation = 0;

/** Traffic in motion: dots by rate, their speed by response time, errors as diamonds at their true share. */
export function animate(svg, edges) {
  cancelAnimationFrame(animation);
  const layer = svg.querySelector('.dots');
  if (!layer || !on('animation') || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const live = edges.filter((edge) => edge.traffic.protocol && mainRate(edge.traffic) > 0);
  const dots = [];
  for (const edge of live) {
    const line = svg.querySelector(`.edge[data-id="${CSS.escape(edge.id)}"] .line`);
    if (!line) continue;
    const tcp = edge.traffic.protocol === 'tcp';
    const count = Math.max(1, Math.min(8, Math.round(Math.log2(1 + mainRate(edge.traffic) / (tcp ? 1024 : 1)))));
    const seconds = 1.2 + Math.min(Number(edge.responseTime ?? 20), 2000) / 400;
    for (let index = 0; index < count && dots.length < MAX_DOTS; index += 1) {
      const bad = index < Math.round((count * errorPercent(edge.traffic)) / 100);
      const dot = document.createElementNS('http://www.w3.org/2000/svg', bad ? 'rect' : 'circle');
      dot.setAttribute('class', bad ? 'dot bad' : 'dot');
      dot.style.setProperty('--color', edgeColor(edge));
      if (bad) for (const [name, value] of Object.entries({ x: -4, y: -4, width: 8, height: 8 })) dot.setAttribute(name, value);
      else dot.setAttribute('r', tcp ? 2.4 : 3.2);
      layer.append(dot);
      dots.push({ dot, line, length: line.getTotalLength(), phase: index / count, seconds, bad });
    }
  }
  const frame = (now) => {
    for (const { dot, line, length, phase, seconds, bad } of dots) {
      const at = line.getPointAtLength(length * ((now / 1000 / seconds + phase) % 1));
      dot.setAttribute('transform', `translate(${at.x} ${at.y})${bad ? ' rotate(45)' : ''}`);
    }
    animation = requestAnimationFrame(frame);
  };
  if (dots.length) animation = requestAnimationFrame(frame);
}

export function legend() {
  const shape = (name, text) => `<span><svg viewBox="-26 -26 52 52" width="18" height="18"><g class="shape" style="--color:#6a6e73">${SHAPES[name]}</g></svg>${text}</span>`;
  const color = (name) => `<span><i style="background:${COLORS[name]}"></i>${name === 'tcp' ? 'TCP' : name}</span>`;
  return shape('app', 'App') + shape('workload', 'Workload') + shape('service', 'Service') +
    ['Healthy', 'Degraded', 'Failure', 'Idle', 'tcp'].map(color).join('') +
    `<span>${lockIcon()}mTLS</span>`;
}

/** Drawn, not an emoji: not every machine has a font with one. */
export function lockIcon() {
  return `<svg viewBox="-7 -9 14 17" width="14" height="16"><path class="lock" d="${LOCK}"/></svg>`;
}
