// What the monitor says of the database: a card for each number, a table for each list.

import { Chart } from './chart.js';
import { byId, clock, count, duration, element, readable, say, show, size, svg } from './elements.js';

const SIGNS = { pass: '✓', warn: '!', fail: '✗', unknown: '?' };
const KEPT = 360, WIDTH = 120, HEIGHT = 28;

export function checks() {
  let history = [], shown = null;
  const chart = new Chart({
    title: 'Answer time of the monitor',
    logarithmic: true,
    begin: '15 min ago',
    series: [{ label: 'answered', of: (answer) => (answer.failed ? null : answer.took_ms) }, { label: 'failed', of: (answer) => (answer.failed ? answer.took_ms : null), bad: true }],
  });
  byId('checks').before(chart.root);
  /** Gives the number of the newest answer that it has. */
  return (feed) => {
    show(byId('checks-section'), feed !== null && feed !== undefined);
    if (!feed) return 0;
    history = [...history, ...feed.history].slice(-KEPT);
    const { latest } = feed;
    if (latest && latest.at_ms !== shown) {
      shown = latest.at_ms;
      showLatest(latest, history);
      chart.update(history);
    }
    return history.at(-1)?.number ?? 0;
  };
}

function showLatest({ at_ms: atMs, report, error }, history) {
  const took = history.at(-1)?.took_ms;
  say(byId('checks-note'), error ? `✗ ${error}` : `${sign(report.status)} ${report.status}`);
  byId('checks-note').className = error ? 'status-fail' : `status-${word(report.status)}`;
  byId('checks-time').textContent = `asked ${clock(atMs)}, answered in ${duration(took)}`;
  if (!report) return;
  const isList = ({ value }) => Array.isArray(value);
  const single = report.checks.filter((check) => !isList(check));
  byId('checks').replaceChildren(
    element('ul', { class: 'cards' }, ...single.map((check) => card(check, history))),
    ...report.checks.filter(isList).map((check) => list(check, check.value)),
    ...single.filter(({ detail }) => Array.isArray(detail) && detail.length > 0).map((check) => list(check, check.detail)),
  );
}

const sign = (status) => SIGNS[status] ?? '?';
/** A class name is never made of what was answered. */
const word = (status) => (Object.hasOwn(SIGNS, status) ? status : 'unknown');
const nameOf = (id) => id.replace(':', ': ').replaceAll('_', ' ');

function heading({ id, status }) {
  return element('span', { class: `check status-${word(status)}` }, element('b', {}, `${sign(status)} ${status}`), ` ${nameOf(id)}`);
}

function card(check, history) {
  const { value, unit, threshold, limit, detail, note, error } = check;
  const hints = [error, note, detailOf(detail), thresholdOf(threshold, unit)].filter((text) => text);
  return element(
    'li', {}, heading(check),
    element('span', { class: 'value' }, error ? '–' : plain(value, unit), typeof limit === 'number' ? ` of ${plain(limit, unit)}` : null, wordOf(value, unit)),
    ...hints.map((text) => element('span', { class: 'hint' }, text)),
    sparkline(check.id, history),
  );
}

function thresholdOf(threshold, unit) {
  if (scalar(threshold)) return `threshold ${plain(threshold, unit)}`;
  if (threshold === null || typeof threshold !== 'object') return null;
  const { warn, fail, lower_is_worse: lowerIsWorse } = threshold;
  const from = (level, at) => (at === null || at === undefined ? null : `${level} ${lowerIsWorse ? 'at or below' : 'from'} ${plain(at, unit)}`);
  return [from('warn', warn), from('fail', fail)].filter((text) => text).join(', ');
}

function detailOf(detail) {
  if (detail === null || detail === undefined || Array.isArray(detail)) return null;
  return scalar(detail) ? String(detail) : JSON.stringify(detail);
}

const scalar = (value) => ['number', 'string', 'boolean'].includes(typeof value);

/** A value for people; units that are measures become part of it. */
function plain(value, unit) {
  if (value === null || value === undefined) return '–';
  if (value !== '' && Number.isFinite(Number(value))) {
    if (unit === 'bytes') return size(Number(value));
    if (unit === 'ratio') return `${(Number(value) * 100).toFixed(1)} %`;
    if (unit === 's') return duration(Number(value) * 1000);
    if (unit === 'ms') return duration(Number(value));
  }
  if (typeof value === 'number') return count(value);
  return scalar(value) ? readable(String(value)) : JSON.stringify(value);
}

/** Any other unit is a word. */
function wordOf(value, unit) {
  const measures = ['bytes', 'ratio', 's', 'ms', '1', ''];
  return value === null || value === undefined || typeof unit !== 'string' || measures.includes(unit) ? null : element('span', { class: 'hint' }, ` ${unit}`);
}

/** A list of objects is a table of their keys; of anything else, of one column. */
function list(check, values) {
  const rows = values.map((row) => (row !== null && typeof row === 'object' && !Array.isArray(row) ? row : { value: row }));
  const cell = (value, key = '') => (/bytes$/.test(key) && value !== null && Number.isFinite(Number(value)) ? size(Number(value)) : scalar(value) ? readable(String(value)) : value === null || value === undefined ? '' : JSON.stringify(value));
  const kind = (key) => (rows.every((row) => row[key] === undefined || /^(-?[\d.,]*|[\d.]+ \w+)$/.test(cell(row[key], key))) ? 'number' : /query|statement/.test(key) ? 'code' : null);
  // JSON says nothing of an order: what names a row first, then its numbers, then what is long.
  const place = (key) => [null, 'number', 'code'].indexOf(kind(key));
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))].sort((one, other) => place(one) - place(other));
  const table = element(
    'table', {},
    element('thead', {}, element('tr', {}, ...keys.map((key) => element('th', { scope: 'col', class: kind(key) }, key.replaceAll('_', ' '))))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...keys.map((key) => element('td', { class: kind(key) }, cell(row[key], key)))))),
  );
  return element(
    'div', { class: 'list' }, heading(check), check.error ? element('span', { class: 'hint' }, ` ${check.error}`) : null,
    rows.length === 0
      ? element('p', { class: 'hint' }, 'none')
      : element('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': nameOf(check.id) }, table),
  );
}

function sparkline(id, history) {
  const numbers = history.map(({ numbers: all }) => all[id]).filter((number) => number !== undefined);
  const low = Math.min(...numbers), high = Math.max(...numbers);
  // One that stands still tells nothing.
  if (numbers.length < 2 || high === low) return null;
  const x = (index) => (1 + (index * (WIDTH - 2)) / (numbers.length - 1)).toFixed(1);
  const y = (number) => (2 + (HEIGHT - 4) * (1 - (number - low) / (high - low))).toFixed(1);
  const points = numbers.map((number, index) => `${x(index)},${y(number)}`).join(' ');
  return svg('svg', { class: 'sparkline', width: WIDTH, height: HEIGHT, role: 'img', 'aria-label': `between ${count(low)} and ${count(high)} of late` },
    svg('polyline', { points, fill: 'none', class: 'line line-0' }));
}
