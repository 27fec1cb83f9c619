// Tables of what there is at this moment.

import { byId, clock, duration, element, show } from './elements.js';

const TABLES = [
  {
    id: 'sandboxes', title: 'Sandboxes', empty: 'None yet: they start with the first request.', rows: (feed) => feed.sandboxes,
    columns: [
      ['Function', (row) => row.function], ['Process', (row) => row.pid, 'number'], ['Condition', (row) => row.condition],
      ['Invocations', (row) => row.invocations, 'number'], ['Thaws', (row) => row.thaws, 'number'],
    ],
  },
  {
    id: 'statements', title: 'Slow statements of late', empty: 'None took 100 ms.', rows: (feed) => feed.statements?.toReversed(),
    columns: [
      ['When', (row) => clock(row.at_ms)], ['Function', (row) => row.application], ['Took', (row) => duration(row.took_ms), 'number'],
      ['Statement', (row) => row.statement, 'code'],
    ],
  },
  {
    id: 'pins', title: 'Statements that pin', empty: 'None: every session can be shared.', rows: (feed) => feed.pins?.toReversed(),
    columns: [
      ['Function', (row) => row.application], ['Verdict', (row) => row.verdict], ['Why', (row) => row.reason], ['Statement', (row) => row.statement, 'code'],
    ],
  },
];

export function tables() {
  const all = TABLES.map((table) => ({ ...table, text: null, ...frame(table) }));
  byId('tables').append(...all.map(({ root }) => root));
  return (feed) => {
    show(byId('tables'), true);
    for (const table of all) {
      const rows = table.rows(feed);
      show(table.root, rows !== undefined);
      const text = JSON.stringify(rows);
      if (rows === undefined || text === table.text) continue;
      table.text = text;
      show(table.empty, rows.length === 0);
      show(table.scroll, rows.length > 0);
      table.body.replaceChildren(...rows.map((row) => element('tr', {}, ...table.columns.map(([, of, kind]) => element('td', { class: kind }, of(row))))));
    }
  };
}

function frame({ id, title, empty, columns }) {
  const body = element('tbody');
  const head = element('tr', {}, ...columns.map(([name, , kind]) => element('th', { scope: 'col', class: kind }, name)));
  const nothing = element('p', { class: 'hint' }, empty);
  const scroll = element('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-labelledby': `${id}-title` },
    element('table', {}, element('thead', {}, head), body));
  const root = element('section', { id, 'aria-labelledby': `${id}-title` }, element('h2', { id: `${id}-title` }, title), nothing, scroll);
  return { root, body, empty: nothing, scroll };
}
