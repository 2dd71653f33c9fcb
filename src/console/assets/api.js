// The console's own REST interface.

async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  const response = await fetch('api/' + path + (query ? '?' + query : ''), { headers: { accept: 'application/json' } });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `${response.status} ${response.statusText}`);
  return body;
}

export const namespaces = () => get('namespaces');

export const status = () => get('status');

export const graph = (state) => get('namespaces/graph', {
  namespaces: state.namespaces,
  graphType: state.graphType,
  duration: state.duration,
  injectServiceNodes: String(state.services === '1'),
  includeIdleEdges: String(state.idle === '1'),
});

export const series = (state, kind, id) => get('series', {
  [kind]: id, duration: state.duration, graphType: state.graphType, namespaces: state.namespaces,
  injectServiceNodes: String(state.services === '1'),
});
