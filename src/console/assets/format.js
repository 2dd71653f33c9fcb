// Numbers as people read them, and small pieces of markup.

export const COLORS = { Healthy: '#3e8635', Degraded: '#d98200', Failure: '#c9190b', Idle: '#8a8d90', tcp: '#0066cc' };

export function escape(text) {
  return String(text ?? '').replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

export function rate(value) {
  const number = Number(value);
  if (!number) return '0';
  return number >= 100 ? number.toFixed(0) : number >= 1 ? number.toFixed(1) : number.toFixed(2);
}

export function milliseconds(value) {
  const number = Number(value);
  return number >= 1000 ? `${(number / 1000).toFixed(2)}s` : number >= 10 ? `${number.toFixed(0)}ms` : `${number.toFixed(1)}ms`;
}

export function bytes(value) {
  let number = Number(value);
  for (const unit of ['B', 'KiB', 'MiB']) {
    if (number < 1024) return `${number.toFixed(unit === 'B' ? 0 : 1)} ${unit}`;
    number /= 1024;
  }
  return `${number.toFixed(1)} GiB`;
}

/** The rate that matters of a traffic element: requests, or bytes for TCP. */
export function mainRate(traffic) {
  return Number(traffic.rates[traffic.protocol] ?? 0);
}

export function errorPercent(traffic) {
  return Number(traffic.rates[`${traffic.protocol}PercentErr`] ?? 0);
}

/** The label of an edge. */
export function edgeLabel(edge, kind) {
  const { traffic } = edge;
  if (!traffic.protocol) return '';
  if (kind === 'none') return '';
  if (kind === 'distribution') return `${traffic.rates[`${traffic.protocol}PercentReq`] ?? '100.0'}%`;
  if (kind === 'p95') return edge.responseTime ? milliseconds(edge.responseTimes?.p95 ?? edge.responseTime) : '';
  if (traffic.protocol === 'tcp') return `${bytes(mainRate(traffic))}/s`;
  const errors = errorPercent(traffic);
  return `${rate(mainRate(traffic))}rps` + (errors > 0 ? ` ${errors.toFixed(1)}%err` : '');
}

export function nodeName(node) {
  if (node.nodeType === 'service') return node.service;
  if (node.nodeType === 'unknown') return 'unknown';
  return node.app && node.nodeType !== 'workload' ? node.app : node.workload;
}
