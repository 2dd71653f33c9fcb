// What the user asked for. Lives in the URL, so that a link shows the same picture.

const DEFAULTS = {
  namespaces: '', graphType: 'versionedApp', duration: '60s', refresh: '5',
  services: '1', security: '1', animation: '1', idle: '0', label: 'rate', selected: '',
};

const listeners = [];

function read() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, query.get(name) ?? value]));
}

export const state = read();

export function onChange(listener) {
  listeners.push(listener);
}

/** Changes some settings, writes the URL and tells who listens. */
export function change(settings) {
  Object.assign(state, settings);
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value !== DEFAULTS[name]) query.set(name, value);
  }
  const text = query.toString();
  history.replaceState(null, '', location.pathname + (text ? '?' + text : ''));
  for (const listener of listeners) listener(settings);
}

export const on = (name) => state[name] === '1';
