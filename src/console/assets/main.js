// The page: asks for the graph on a beat and keeps picture, panel and toolbar together.

import * as api from './api.js';
import { animate, draw, legend } from './draw.js';
import { escape, nodeName } from './format.js';
import { layout } from './layout.js';
import { links } from './pages.js';
import { showPanel } from './panel.js';
import { change, on, onChange, state } from './state.js';
import { View } from './view.js';

const element = (id) => document.getElementById(id);
const svg = element('graph');
const view = new View(svg);
let elements = { nodes: [], edges: [] };
let unwatched = 0;
let places = { points: new Map(), boxes: new Map() };
let structure = '';
let timer = 0;
let asked = 0;

/** Redraws; the layout is computed anew only when nodes or edges came or went. */
function render() {
  const ids = [...elements.nodes, ...elements.edges].map((item) => item.data.id).join('\n');
  if (ids !== structure) {
    places = layout(elements);
    structure = ids;
  }
  const edges = draw(svg, elements, places);
  view.fit(places.points);
  highlight();
  animate(svg, edges);
  showPanel(element('panel'), elements, unwatched);
}

function highlight() {
  const find = element('find').value.trim().toLowerCase();
  for (const item of svg.querySelectorAll('[data-id]')) {
    item.classList.toggle('selected', item.dataset.id === state.selected);
  }
  for (const { data } of elements.nodes) {
    const found = find && `${nodeName(data)} ${data.version ?? ''} ${data.namespace}`.toLowerCase().includes(find);
    svg.querySelector(`.node[data-id="${CSS.escape(data.id)}"]`)?.classList.toggle('found', Boolean(found));
  }
}

function say(text) {
  element('empty').hidden = !text;
  element('empty').innerHTML = text;
}

async function refresh() {
  clearTimeout(timer);
  const mine = (asked += 1);
  try {
    const answer = await api.graph(state);
    if (mine !== asked) return;
    elements = answer.elements;
    unwatched = answer.unwatchedSeconds ?? 0;
    render();
    say(elements.nodes.length ? '' : '<h2>No traffic yet</h2><p>Nothing was sent in this window in the chosen namespaces.<br>Send a request, choose a longer window, or show idle edges.</p>');
  } catch (error) {
    if (mine === asked) say(`<h2>The graph could not be read</h2><p>${escape(error.message)}</p>`);
  }
  if (Number(state.refresh)) timer = setTimeout(refresh, Number(state.refresh) * 1000);
}

async function namespaceMenu() {
  const all = await api.namespaces().catch(() => []);
  const chosen = new Set(state.namespaces.split(',').filter(Boolean));
  const names = all.map((namespace) => namespace.name).filter((name) => !/^kube-/.test(name));
  const body = element('namespaces').querySelector('.menu-body');
  body.innerHTML = names.map((name) => `<label><input type="checkbox" value="${escape(name)}" ${chosen.has(name) ? 'checked' : ''}>${escape(name)}</label>`).join('');
  element('namespaces').querySelector('summary').textContent = chosen.size ? `Namespace: ${[...chosen].join(', ')}` : 'Namespace: all';
  body.onchange = () => {
    const picked = [...body.querySelectorAll('input:checked')].map((input) => input.value);
    change({ namespaces: picked.join(','), selected: '' });
    element('namespaces').querySelector('summary').textContent = picked.length ? `Namespace: ${picked.join(', ')}` : 'Namespace: all';
  };
}

function displayMenu() {
  const flags = { services: 'Service nodes', security: 'Security (mTLS)', animation: 'Traffic animation', idle: 'Idle edges' };
  const labels = { rate: 'Traffic rate', distribution: 'Traffic distribution', p95: 'Response time, p95', none: 'No edge labels' };
  const body = element('display').querySelector('.menu-body');
  body.innerHTML = Object.entries(flags).map(([name, text]) => `<label><input type="checkbox" name="${name}" ${on(name) ? 'checked' : ''}>${text}</label>`).join('') +
    '<hr>' + Object.entries(labels).map(([name, text]) => `<label><input type="radio" name="label" value="${name}" ${state.label === name ? 'checked' : ''}>${text}</label>`).join('');
  body.onchange = ({ target }) => change({ [target.name]: target.type === 'radio' ? target.value : target.checked ? '1' : '0' });
}

function controls() {
  for (const [id, name] of [['graph-type', 'graphType'], ['duration', 'duration'], ['refresh', 'refresh']]) {
    element(id).value = state[name];
    element(id).onchange = ({ target }) => change({ [name]: target.value });
  }
  element('reload').onclick = refresh;
  element('find').oninput = highlight;
  element('zoom-in').onclick = () => view.zoom(1.25);
  element('zoom-out').onclick = () => view.zoom(0.8);
  element('zoom-fit').onclick = () => view.fit(places.points, true);
  const select = (event) => {
    if (event.type === 'keydown' && event.key !== 'Enter') return;
    change({ selected: event.target.closest('[data-id]')?.dataset.id ?? '' });
  };
  svg.addEventListener('click', select);
  svg.addEventListener('keydown', select);
  document.addEventListener('click', (event) => {
    for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
  });
  addEventListener('resize', () => view.fit(places.points));
  element('legend').innerHTML = legend();
}

onChange((settings) => {
  if (Object.keys(settings).every((name) => ['selected', 'security', 'animation', 'label'].includes(name))) render();
  else refresh();
});

links();
controls();
displayMenu();
namespaceMenu();
refresh();
