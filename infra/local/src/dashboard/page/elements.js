// Elements without HTML: text becomes a text node, whatever it says.

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes and children; a child that is no node becomes text, and null nothing. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Sets text only where it differs: a live region speaks at each change. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

const whole = new Intl.NumberFormat('en');

export const count = (number) => whole.format(number);

/** A whole number in a text, however long, for people; any other text as it is. */
export const readable = (text) => (/^-?\d+$/.test(text) ? whole.format(BigInt(text)) : text);

/** A duration for people: 0.4 ms, 31 ms, 1.20 s, 5 min. */
export function duration(ms) {
  if (ms === null || ms === undefined) return '–';
  for (const [unit, length] of [['d', 86_400_000], ['h', 3_600_000], ['min', 60_000]]) {
    if (ms >= 2 * length) return `${Math.round(ms / length)} ${unit}`;
  }
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

const SIZES = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** A number of bytes for people. */
export function size(bytes) {
  const power = Math.min(Math.max(Math.floor(Math.log10(Math.abs(bytes) || 1) / 3), 0), SIZES.length - 1);
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${SIZES[power]}`;
}

export function clock(epochMs) {
  return new Date(epochMs).toLocaleTimeString('en-GB');
}
