// The end of the functions' log.

import { byId, clock, element, show } from './elements.js';

const KEPT = 200;

export function log() {
  const list = byId('log'), follow = byId('follow');
  return (lines) => {
    show(byId('log-section'), true);
    if (lines.length === 0) return;
    list.append(...lines.map((line) => element(
      'li', { class: `level-${['WARN', 'ERROR'].includes(line.level) ? line.level : 'INFO'}` },
      element('time', {}, clock(line.at_ms)), ' ', element('b', {}, line.level), ' ', element('span', { class: 'function' }, line.function), ' ', line.text,
    )));
    while (list.children.length > KEPT) list.firstChild.remove();
    if (follow.checked) list.scrollTop = list.scrollHeight;
  };
}
