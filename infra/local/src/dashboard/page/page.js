// Asks for the feed once a second, and shows it.

import { WIDTH_S } from './chart.js';
import { charts } from './charts.js';
import { byId, count, duration, element, say, show } from './elements.js';
import { checks } from './checks.js';
import { faults } from './faults.js';
import { log } from './log.js';
import { tables } from './tables.js';

const EVERY_MS = 1000, PATIENCE_MS = 5000;
const token = document.querySelector('meta[name=thaw-token]').content;

async function post(path, body) {
  try {
    const answer = await fetch(`/_thaw/${path}`, { method: 'POST', headers: { 'x-thaw-token': token }, body: body && JSON.stringify(body) });
    return await answer.json();
  } catch {
    return { message: 'no answer' };
  }
}

const views = { charts: charts(), faults: faults(post), tables: tables(), log: log(), checks: checks() };
const known = { start: null, seconds: [], second: 0, line: 0, check: 0 };

async function poll() {
  const answer = await fetch(`/_thaw/feed?second=${known.second}&line=${known.line}&check=${known.check}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  const feed = await answer.json();
  // Another start has other numbers, and another token.
  if (known.start !== null && known.start !== feed.start) return location.reload();
  known.start = feed.start;
  known.check = views.checks(feed.checks);
  // A deployed stack is watched and not touched.
  if (feed.source === 'deployed') say(byId('where'), feed.url);
  else showStack(feed);
}

function showStack(feed) {
  known.seconds = [...known.seconds, ...feed.seconds].slice(-WIDTH_S);
  known.second = feed.seconds.at(-1)?.number ?? known.second;
  known.line = feed.lines.at(-1)?.number ?? known.line;
  score(feed.totals);
  views.faults(feed);
  views.charts(known.seconds);
  views.tables(feed);
  views.log(feed.lines);
}

/** What it is all about. */
function score({ requests, failed, refused, left, resends, reconnects }) {
  show(byId('score'), true);
  show(byId('score-line'), true);
  say(byId('failed'), count(failed));
  say(byId('requests'), count(requests));
  say(byId('score-sign'), failed > 0 ? '✗' : '✓');
  byId('score-line').classList.toggle('bad', failed > 0);
  const notes = [];
  if (requests === 0) notes.push('No request yet: turn the load on, or send one.');
  else notes.push(failed > 0 ? 'Answered with 5xx: the log says why.' : 'No request was answered with 5xx.');
  if (refused > 0) notes.push(`${count(refused)} were refused with 4xx.`);
  if (left > 0) notes.push(`${count(left)} were given up by their clients.`);
  say(byId('score-note'), notes.join(' '));
  const last = known.seconds.at(-1);
  const served = known.seconds.findLast((second) => second.p50_ms !== null);
  facts([
    ['Requests a second', last ? count(last.requests) : '–'], ['Latency p50', duration(served?.p50_ms)], ['Latency p99', duration(served?.p99_ms)],
    ['Sent again', count(resends)], ['Reconnects', count(reconnects)],
  ]);
}

function facts(pairs) {
  const list = byId('facts');
  if (list.children.length === 0) list.append(...pairs.map(([name]) => element('div', {}, element('dt', {}, name), element('dd'))));
  pairs.forEach(([, value], index) => say(list.children[index].lastChild, value));
}

async function run() {
  for (;;) {
    try {
      await poll();
      say(byId('connection'), 'Live');
      document.body.classList.remove('stale');
    } catch {
      say(byId('connection'), 'No answer: these numbers are old');
      document.body.classList.add('stale');
    }
    await new Promise((resolve) => { setTimeout(resolve, EVERY_MS); });
  }
}

run();
