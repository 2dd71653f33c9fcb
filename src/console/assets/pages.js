// What the pages beside the graph share: their links, their question, their numbers.

const PAGES = [['Graph', './'], ['Metrics', 'metrics'], ['Traces', 'traces'], ['Namespaces', 'namespaces']];

/** Draws the links; a collector without a cluster has only one page and draws none. */
export async function links() {
  const status = await ask('status').catch(() => null);
  if (!status) return;
  const here = location.pathname.split('/').pop() || './';
  document.querySelector('.pages').innerHTML = PAGES
    .map(([name, path]) => `<a href="${path}"${path === here ? ' aria-current="page"' : ''}>${name}</a>`).join('');
  document.getElementById('source').textContent = status.source;
}

export async function ask(path, options = {}) {
  const response = await fetch('api/' + path, { headers: { accept: 'application/json' }, ...options });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `${response.status} ${response.statusText}`);
  return body;
}

export const microseconds = (time) =>
  time >= 1e6 ? `${(time / 1e6).toFixed(2)} s` : time >= 1e3 ? `${(time / 1e3).toFixed(2)} ms` : `${time} µs`;
