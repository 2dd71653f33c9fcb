// The namespaces page: which namespaces get sidecars, and a button that changes it.

import { escape } from './format.js';
import { ask, links } from './pages.js';

const page = document.getElementById('namespaces');

/** Where nothing is ever injected, by rule or because it is the mesh itself. */
const SYSTEM = ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage', 'istio-system'];

function state(labels) {
  if (labels['istio-injection']) return labels['istio-injection'];
  return labels['istio.io/rev'] ? `revision ${labels['istio.io/rev']}` : 'off';
}

/** A bar of the share of pods that are in the mesh, with the numbers. */
function share(pods, meshed) {
  if (!pods) return '<span class="muted">no pods</span>';
  return `<span class="share" title="${meshed} of ${pods} pods have a sidecar"><i style="width:${(meshed / pods) * 100}%"></i></span> ${meshed} of ${pods}`;
}

function line({ name, labels, pods, meshed }) {
  const enabled = labels['istio-injection'] === 'enabled' || (!labels['istio-injection'] && Boolean(labels['istio.io/rev']));
  const fixed = SYSTEM.includes(name) || (labels['istio.io/rev'] && !labels['istio-injection']);
  const button = fixed ? '' : `<button class="toggle" data-name="${escape(name)}" data-to="${!enabled}">${enabled ? 'Disable' : 'Enable'}</button>`;
  const waits = enabled && meshed < pods ? ` <span class="muted">restart to inject: kubectl rollout restart deployment -n ${escape(name)}</span>` : '';
  const traffic = pods ? `<a href="./?namespaces=${encodeURIComponent(name)}">Graph</a>` : '';
  return `<tr><td>${escape(name)}</td><td><span class="kind${enabled ? ' on' : ''}">${escape(state(labels))}</span></td>` +
    `<td>${share(pods, meshed)}${waits}</td><td>${traffic}</td><td class="number">${button}</td></tr>`;
}

async function refresh() {
  try {
    const rows = (await ask('namespaces')).map(line);
    page.innerHTML = '<table><thead><tr><th>Namespace</th><th>Sidecar injection</th><th>Pods with a sidecar</th><th></th><th></th></tr></thead>' +
      `<tbody>${rows.join('')}</tbody></table>` +
      '<p class="muted">Injection concerns pods that are created from now on; those that run keep what they have.</p>';
  } catch (error) {
    page.innerHTML = `<p class="none bad">${escape(error.message)}</p>`;
  }
}

page.onclick = async ({ target }) => {
  const button = target.closest('button[data-name]');
  if (!button) return;
  button.disabled = true;
  await ask(`namespaces/${encodeURIComponent(button.dataset.name)}/injection`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', 'x-sagene-console': '1' },
    body: JSON.stringify({ enabled: button.dataset.to === 'true' }),
  }).catch((error) => alert(error.message));
  setTimeout(refresh, 300);
};

links();
refresh();
setInterval(refresh, 5000);
