// The fault panel: a load switch, and a button for each drill.

import { byId, duration, element, say, show } from './elements.js';

export function faults(post) {
  const panel = { buttons: new Map(), latest: null };
  const load = byId('load');
  load.addEventListener('click', async () => {
    const answer = await post('load', { on: load.getAttribute('aria-checked') !== 'true' });
    say(byId('complaint'), answer.message ?? '');
    if (!answer.message) showLoad(answer);
  });
  return (feed) => {
    show(byId('faults'), true);
    showLoad(feed.load);
    panel.latest = feed.drills;
    for (const drill of feed.drills) {
      if (!panel.buttons.has(drill.name)) panel.buttons.set(drill.name, addDrill(drill, panel, post));
      showDrill(drill, panel);
    }
  };
}

function showLoad({ on, users, ends_in_s: endsInS }) {
  const load = byId('load');
  load.setAttribute('aria-checked', String(on));
  // The button's name stays as it is, so that a screen reader says only that it is on.
  say(byId('load-text'), `Load: ${users} users`);
  load.title = on ? `ends by itself in ${Math.ceil(endsInS / 60)} min` : 'off';
}

function addDrill({ name, title, description }, panel, post) {
  const button = element('button', { type: 'button', id: `drill-${name}`, 'aria-describedby': `about-${name} state-${name}` }, title);
  const state = element('p', { id: `state-${name}`, class: 'state' });
  button.addEventListener('click', async () => {
    // A button that is really disabled would lose the focus.
    if (button.getAttribute('aria-disabled') === 'true') return;
    say(byId('complaint'), '');
    say(byId('news'), `${title}: running`);
    say(state, 'running');
    setDisabled(panel, true);
    const answer = await post(`drills/${name}`);
    if (answer.message) say(byId('complaint'), answer.message);
    else say(byId('news'), `${title}: ${outcome(answer)}`);
  });
  byId('drills').append(element('li', {}, button, element('p', { id: `about-${name}` }, description), state));
  return { button, state };
}

function showDrill(drill, panel) {
  const { button, state } = panel.buttons.get(drill.name);
  const running = panel.latest.some((other) => other.running_ms !== null);
  button.setAttribute('aria-disabled', String(running || drill.impossible !== null));
  button.parentElement.classList.toggle('running', drill.running_ms !== null);
  say(state, standing(drill));
}

function setDisabled(panel, disabled) {
  for (const { button } of panel.buttons.values()) button.setAttribute('aria-disabled', String(disabled));
}

function standing({ impossible, running_ms: runningMs, last }) {
  if (runningMs !== null) return `running for ${duration(runningMs)}`;
  if (impossible) return `Not here: ${impossible}`;
  if (last?.failed) return `✗ ${last.failed}`;
  return last ? outcome(last.done) : '';
}

/** What came of a drill. */
function outcome({ done, fault_ms: faultMs, healed_ms: healedMs, witness }) {
  const lasted = faultMs >= 1000 ? ` for ${duration(faultMs)}` : '';
  if (!witness) return `${done}${lasted}.`;
  const sign = witness.status < 500 ? '✓' : '✗';
  return `${sign} ${done}${lasted}; healed ${duration(healedMs)} after. A request sent meanwhile: ${witness.status} in ${duration(witness.took_ms)}.`;
}
