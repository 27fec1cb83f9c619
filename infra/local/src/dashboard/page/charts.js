// The charts of a stack.

import { Chart } from './chart.js';
import { byId, show } from './elements.js';

const CHARTS = [
  {
    title: 'Requests a second',
    series: [
      { label: 'answered', of: (second) => second.requests },
      { label: 'failed', of: (second) => second.failed || null, bad: true },
    ],
  },
  {
    title: 'Latency',
    logarithmic: true,
    series: [{ label: 'p50', of: (second) => second.p50_ms }, { label: 'p99', of: (second) => second.p99_ms }],
  },
  {
    title: 'Retries a second',
    series: [{ label: 'sent again', of: (second) => second.resends }, { label: 'reconnects', of: (second) => second.reconnects }],
  },
  {
    title: 'Database connections',
    series: [
      { label: 'clients', of: (second) => second.clients },
      { label: 'lent', of: (second) => second.borrowed },
      { label: 'idle', of: (second) => second.idle },
    ],
  },
  {
    title: 'Sandboxes',
    series: [
      { label: 'frozen', of: (second) => second.frozen },
      { label: 'warm', of: (second) => second.warm },
      { label: 'cold', of: (second) => second.cold },
    ],
  },
];

export function charts() {
  const all = CHARTS.map((chart) => new Chart(chart));
  byId('charts').append(...all.map((chart) => chart.root));
  return (seconds) => {
    show(byId('charts-section'), true);
    all.forEach((chart) => chart.update(seconds));
  };
}
