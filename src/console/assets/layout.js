// Where nodes stand: layers from left to right along the traffic, versions of an application kept together in their box.

const COLUMN = 230;
const ROW = 96;
const BOX_GAP = 44;

/** Longest distance from a root, ignoring edges that close a circle. */
function ranks(nodes, edges) {
  const next = new Map(nodes.map((node) => [node.id, []]));
  const incoming = new Map(nodes.map((node) => [node.id, 0]));
  for (const edge of edges) {
    if (edge.source === edge.target || !next.has(edge.source) || !next.has(edge.target)) continue;
    next.get(edge.source).push(edge.target);
    incoming.set(edge.target, incoming.get(edge.target) + 1);
  }
  const mark = new Map();
  const back = new Set();
  const order = [];
  const visit = (id) => {
    mark.set(id, 'open');
    for (const target of next.get(id)) {
      if (mark.get(target) === 'open') back.add(id + '>' + target);
      else if (!mark.has(target)) visit(target);
    }
    mark.set(id, 'done');
    order.push(id);
  };
  const roots = nodes.filter((node) => node.isRoot || incoming.get(node.id) === 0);
  for (const node of [...roots, ...nodes]) if (!mark.has(node.id)) visit(node.id);
  const rank = new Map(nodes.map((node) => [node.id, 0]));
  for (const id of order.reverse()) {
    for (const target of next.get(id)) {
      if (!back.has(id + '>' + target)) rank.set(target, Math.max(rank.get(target), rank.get(id) + 1));
    }
  }
  return rank;
}

/** Groups of one layer: the members of a box are one group, so that nothing comes between them. */
function groupsOf(layer) {
  const groups = new Map();
  for (const node of layer) {
    const key = node.parent ?? node.id;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(node);
  }
  return [...groups.values()];
}

function sweep(layers, neighbours, position) {
  const centre = (node) => {
    const around = (neighbours.get(node.id) ?? []).filter((id) => position.has(id)).map((id) => position.get(id));
    return around.length ? around.reduce((sum, value) => sum + value, 0) / around.length : position.get(node.id);
  };
  for (const layer of layers) {
    for (const group of layer) group.sort((a, b) => centre(a) - centre(b) || a.id.localeCompare(b.id));
    const weight = new Map(layer.map((group) => [group, group.reduce((sum, node) => sum + centre(node), 0) / group.length]));
    layer.sort((a, b) => weight.get(a) - weight.get(b) || a[0].id.localeCompare(b[0].id));
    place(layer, position);
  }
}

function place(layer, position) {
  const height = layer.reduce((sum, group) => sum + group.length * ROW + (group.length > 1 ? BOX_GAP : 0), 0);
  let y = -height / 2;
  for (const group of layer) {
    if (group.length > 1) y += BOX_GAP / 2;
    for (const node of group) {
      position.set(node.id, y + ROW / 2);
      y += ROW;
    }
    if (group.length > 1) y += BOX_GAP / 2;
  }
}

/** Returns node id → {x, y}, and box id → {x, y, width, height}. */
export function layout(elements) {
  const all = elements.nodes.map((node) => node.data);
  const nodes = all.filter((node) => !node.isBox);
  const edges = elements.edges.map((edge) => edge.data);
  const rank = ranks(nodes, edges);
  const layers = [];
  for (const node of nodes) (layers[rank.get(node.id)] ??= []).push(node);
  const grouped = Array.from(layers, (layer) => groupsOf((layer ?? []).sort((a, b) => a.id.localeCompare(b.id))));
  const position = new Map();
  for (const layer of grouped) place(layer, position);
  const before = new Map();
  const after = new Map();
  for (const edge of edges) {
    before.set(edge.target, [...(before.get(edge.target) ?? []), edge.source]);
    after.set(edge.source, [...(after.get(edge.source) ?? []), edge.target]);
  }
  for (let round = 0; round < 4; round += 1) {
    sweep(grouped, before, position);
    sweep([...grouped].reverse(), after, position);
  }
  sweep(grouped, before, position);
  const points = new Map(nodes.map((node) => [node.id, { x: rank.get(node.id) * COLUMN, y: position.get(node.id) }]));
  const boxes = new Map();
  for (const box of all.filter((node) => node.isBox)) {
    const members = nodes.filter((node) => node.parent === box.id).map((node) => points.get(node.id));
    if (!members.length) continue;
    const xs = members.map((point) => point.x);
    const ys = members.map((point) => point.y);
    const left = Math.min(...xs) - 52;
    const top = Math.min(...ys) - 40;
    boxes.set(box.id, { x: left, y: top, width: Math.max(...xs) + 52 - left, height: Math.max(...ys) + 62 - top });
  }
  return { points, boxes };
}
