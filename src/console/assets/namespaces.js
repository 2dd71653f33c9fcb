// The namespaces page: which namespaces get sidecars, and a button that changes it.

import { escape } from './format.js';
import { ask, links } from './pages.js';

const page = document.getElementById('namespaces');

function state(labels) {
  if (labels['istio.io/rev']) return `revision ${labels['istio.io/rev']}`;
  return labels['istio-injection'] ?? 'not set';
}

async function refresh() {
  try {
    const rows = (await ask('namespaces')).map(({ name, labels }) => {
      const enabled = labels['istio-injection'] === 'enabled';
      const button = labels['istio.io/rev'] ? '' : `<button class="toggle" data-name="${escape(name)}" data-to="${!enabled}">${enabled ? 'Disable' : 'Enable'}</button>`;
      return `<tr><td>${escape(name)}</td><td>${escape(state(labels))}</td><td>${button}</td></tr>`;
    });
    page.innerHTML = `<table><thead><tr><th>Namespace</th><th>Sidecar injection</th><th></th></tr></thead><tbody>${rows.join('')}</tbody></table>` +
      '<p class="muted">Pods that run already keep what they have until they are restarted: kubectl rollout restart deployment -n NAMESPACE</p>';
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
