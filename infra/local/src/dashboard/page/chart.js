// One chart of the last minutes, drawn as SVG in the pixels that it has.

import { duration, element, say, svg } from './elements.js';

export const WIDTH_S = 180;
const CHAR_WIDTH = 6.5;
const HEIGHT = 128, LEFT = 52, RIGHT = 6, TOP = 8, BOTTOM = 18;
// Lines differ by their strokes too, not by colour alone.
const STROKES = ['', '7 4', '2 3'];
const TICKS_MS = [1, 10, 100, 1000, 10000];

/**
 * `series`: what is drawn of each second, or of whatever else has a `number`, each with `label`, `of` (a second → number or null) and perhaps `bad`. With `logarithmic` the numbers are
 * milliseconds. `begin` is what stands below the left end.
 */
export class Chart {
  constructor({ title, series, logarithmic = false, begin = '3 min ago' }) {
    this.series = series;
    this.logarithmic = logarithmic;
    this.begin = begin;
    this.seconds = [];
    this.drawing = svg('svg', { role: 'img', height: HEIGHT });
    this.values = series.map(() => element('b', {}, '–'));
    const legend = series.map(({ label, bad }, index) => element(
      'li', {},
      svg('svg', { class: 'swatch', width: 26, height: 10, 'aria-hidden': 'true' }, svg('line', { x1: 1, x2: 25, y1: 5, y2: 5, ...stroke(index, bad) })),
      ` ${label} `, this.values[index],
    ));
    this.root = element('figure', { class: 'chart' }, element('figcaption', {}, title), this.drawing, element('ul', { class: 'legend' }, ...legend));
    this.title = title;
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  update(seconds) {
    this.seconds = seconds;
    this.draw();
  }

  draw() {
    const width = this.root.clientWidth;
    if (width === 0) return;
    this.drawing.setAttribute('width', width);
    this.drawing.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    const last = this.seconds.at(-1);
    const newest = last?.number ?? 0;
    const x = (number) => LEFT + (width - LEFT - RIGHT) * (1 - (newest - number) / (WIDTH_S - 1));
    const shown = this.seconds.filter((second) => newest - second.number < WIDTH_S);
    const numbers = shown.flatMap((second) => this.series.map(({ of }) => of(second) ?? 0));
    const [y, ticks] = this.logarithmic ? logarithmic() : linear(Math.max(1, ...numbers));
    this.drawing.replaceChildren(
      ...bands(shown, x),
      ...ticks.flatMap((tick) => [
        svg('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
        svg('text', { class: 'tick', x: LEFT - 6, y: y(tick) + 4, 'text-anchor': 'end' }, this.logarithmic ? shortTick(tick) : tick),
      ]),
      svg('text', { class: 'tick', x: LEFT, y: HEIGHT - 4 }, this.begin),
      svg('text', { class: 'tick', x: width - RIGHT, y: HEIGHT - 4, 'text-anchor': 'end' }, 'now'),
      ...this.series.flatMap(({ of, bad }, index) => lines(shown, of, x, y).map((d) => svg('path', { d, fill: 'none', ...stroke(index, bad) }))),
    );
    const now = this.series.map(({ of }) => (last ? of(last) : null));
    const texts = now.map((number) => (this.logarithmic ? duration(number) : number ?? 0));
    texts.forEach((text, index) => say(this.values[index], String(text)));
    this.drawing.setAttribute('aria-label', `${this.title}, now: ${this.series.map(({ label }, index) => `${label} ${texts[index]}`).join(', ')}`);
  }
}

function stroke(index, bad) {
  return { class: bad ? 'line bad' : `line line-${index}`, 'stroke-dasharray': bad ? null : STROKES[index] };
}

/** The seconds in which a drill ran, as shaded bands with its name. */
function bands(seconds, x) {
  const found = [];
  for (const { number, drill } of seconds) {
    const open = found.at(-1);
    if (!drill) continue;
    if (open && open.drill === drill && open.to === number - 1) open.to = number;
    else found.push({ drill, from: number, to: number });
  }
  // Names that would stand in each other give way to the newer one.
  let free = Infinity;
  const shaded = [], names = [];
  for (const { drill, from, to } of found.toReversed()) {
    const left = Math.max(x(from - 1), LEFT), right = Math.max(x(to), left + 3);
    shaded.push(svg('rect', { class: 'band', x: left, y: TOP, width: right - left, height: HEIGHT - TOP - BOTTOM }));
    const nameLeft = right - drill.length * CHAR_WIDTH;
    if (right > free || nameLeft < LEFT) continue;
    free = nameLeft - CHAR_WIDTH;
    names.push(svg('text', { class: 'band-name', x: right, y: TOP + 9, 'text-anchor': 'end' }, drill));
  }
  return [...shaded, ...names];
}

/** The path of a series, broken where it has no number. */
function lines(seconds, of, x, y) {
  const paths = [];
  let path = '', before = null;
  for (const second of seconds) {
    const number = of(second);
    const goesOn = path !== '' && before === second.number - 1;
    if (number === null || number === undefined) {
      if (path) paths.push(path);
      path = '';
      continue;
    }
    if (!goesOn && path) paths.push(path);
    const point = `${x(second.number).toFixed(1)} ${y(number).toFixed(1)}`;
    // A second alone is a dot.
    path = goesOn ? `${path} L ${point}` : `M ${point} h 0.1`;
    before = second.number;
  }
  if (path) paths.push(path);
  return paths;
}

function linear(most) {
  const step = [1, 2, 5].flatMap((unit) => [0, 1, 2, 3, 4, 5].map((power) => unit * 10 ** power)).sort((a, b) => a - b).find((size) => size * 4 >= most) ?? most;
  const top = Math.max(step, Math.ceil(most / step) * step);
  const y = (number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - number / top);
  const ticks = [];
  for (let tick = 0; tick <= top; tick += step) ticks.push(tick);
  return [y, ticks];
}

/** From 0.3 ms to 20 s. */
function logarithmic() {
  const low = Math.log10(0.3), high = Math.log10(20000);
  const y = (ms) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (Math.log10(Math.min(Math.max(ms, 0.3), 20000)) - low) / (high - low));
  return [y, TICKS_MS];
}

const shortTick = (ms) => (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`);
