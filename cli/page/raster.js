/* Bars as pixels.
 *
 * A lane may hold a million intervals, a row of a screen two thousand pixels. So a lane is painted a pixel column at a time: a bar
 * that covers several columns is filled at once, and of the intervals that end within one column only the shares of their states
 * are asked for, a difference of running sums. The next interval is found by doubling steps. A frame so costs what its pixels cost,
 * however long the trace. Pixels are written into memory and handed to the canvas in one go: as many small rectangles would take
 * ten times as long.
 *
 * States are told apart by height and pattern as well as by colour: running is full height, ready hatched and lower, a call that
 * blocks striped, waiting a thin line at the bottom. */

const TOP = [0, 0.4, 0.84, 0.4]; /* where a state's bar begins, as a share of its lane's height */

class Raster {
  constructor(context) {
    this.context = context;
    this.width = this.height = 0;
    this.small = make("canvas").getContext("2d", { alpha: false });
  }

  resize(width, height) {
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    this.image = this.context.createImageData(Math.max(1, width), Math.max(1, height));
    Object.assign(this.small.canvas, { width: Math.max(1, width), height: Math.max(1, height) });
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  clear(colour) {
    this.pixels.fill(colour);
  }

  fill(x0, x1, y0, y1, colour) {
    const { width, pixels } = this;
    const top = Math.max(0, Math.round(y0)), bottom = Math.min(this.height, Math.round(y1));
    if (x1 - x0 === 1) {
      for (let at = top * width + x0; at < bottom * width; at += width) pixels[at] = colour;
      return;
    }
    for (let y = top; y < bottom; y++) pixels.fill(colour, y * width + x0, y * width + x1);
  }

  /* Diagonal lines that move with the trace. */
  hatch(x0, x1, y0, y1, colour, line, size, shift) {
    this.fill(x0, x1, y0, y1, colour);
    const { width, pixels } = this;
    const top = Math.max(0, Math.round(y0)), bottom = Math.min(this.height, Math.round(y1));
    const period = 4 * size;
    for (let y = top; y < bottom; y++)
      for (let x = x0; x < x1; x++) if ((x + y + shift) % period < size) pixels[y * width + x] = line;
  }

  stripes(x0, x1, y0, y1, colour, line, size) {
    this.fill(x0, x1, y0, y1, colour);
    for (let y = y1 - 2 * size; y >= y0; y -= 3 * size) this.fill(x0, x1, y, y + size, line);
  }

  /* Onto the canvas, each pixel as factor * factor of its own. */
  present(x, factor) {
    const { context, width, height } = this;
    if (factor === 1) {
      context.putImageData(this.image, x, 0);
      return;
    }
    this.small.putImageData(this.image, 0, 0);
    context.save();
    context.resetTransform();
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small.canvas, 0, 0, width, height, x, 0, width * factor, height * factor);
    context.restore();
  }
}

const FEW = 4; /* bars that end in one column */

const shares = [0, 0, 0, 0]; /* of the column that is being painted */

/* One bar of a state. `look` has its colours. */
function paintBar(raster, look, x0, x1, top, height, state) {
  const y = top + height * TOP[state], bottom = top + height;
  if (state === RUN) raster.fill(x0, x1, top, bottom, look.run);
  else if (state === READY) raster.hatch(x0, x1, y, bottom, look.ready, look.readyLine, look.size, look.shift);
  else if (state === CALL) raster.stripes(x0, x1, y, bottom, look.call, look.callLine, look.size);
  else raster.fill(x0, x1, y, bottom, look.blocked);
}

/* Whether in a column no more happens than that one bar ends, or one begins, or both: those reach beyond it. */
function isEdge(track, i, j, start) {
  return j === i || (j - i === 1 && track.from[i] < start);
}

/* Such a column belongs to the bar that ends, if that has half of it. Returns whether it was painted. */
function paintEdge(raster, look, x, top, height, track, i, j) {
  if (j === i || shares[track.state[i]] < 0.5) return false;
  paintBar(raster, look, x, x + 1, top, height, track.state[i]);
  return true;
}

/* A column in which several intervals end: shares one upon the other, running at the bottom. None that is there vanishes; a run among
 * few others is as high as any. */
function paintColumn(raster, look, x, top, height, few) {
  let y = top + height;
  const stack = (state, colour, least) => {
    if (shares[state] <= 0 || y <= top) return;
    const next = Math.max(top, y - Math.max(least, Math.round(shares[state] * height * (1 - TOP[state]))));
    raster.fill(x, x + 1, next, y, colour);
    y = next;
  };
  stack(RUN, look.run, few ? height : 3 * look.size);
  stack(READY, look.ready, 2 * look.size);
  stack(CALL, look.call, 2 * look.size);
  if (shares[BLOCKED] > 0) raster.fill(x, x + 1, Math.min(y, top + height * TOP[BLOCKED]), y, look.blocked);
}

/* Fills `shares` for [start, end): the intervals from i on, and j the first that ends after `end`. */
function shareOut(track, i, j, start, end) {
  const length = end - start;
  for (let s = 0; s < 4; s++) shares[s] = (track.sums[s][j] - track.sums[s][i]) / length;
  if (j > i && track.from[i] < start) shares[track.state[i]] -= (start - track.from[i]) / length;
  if (j < track.high && track.from[j] < end) shares[track.state[j]] += (end - Math.max(start, track.from[j])) / length;
}

/* Paints a track whose left edge is at time `from`, a device pixel being `scale` ns. Tells wide(i, x0, x1) of bars that have room
 * for a word. */
function paintTrack(raster, look, track, from, scale, top, height, wide) {
  const { from: starts, to: ends, high } = track;
  let i = above(ends, from, track.low, high), x = 0, painted = -2; /* the last column that is not empty */
  while (i < high) {
    x = Math.max(x, Math.floor((starts[i] - from) / scale));
    if (x >= raster.width) return;
    const last = Math.min(raster.width, Math.floor((ends[i] - from) / scale));
    if (last > x && (starts[i] - from) / scale <= x + 0.5) {
      const gap = look.gaps && last - x > 3 * look.size && painted === x - 1 ? look.size : 0;
      paintBar(raster, look, x + gap, last, top, height, track.state[i]);
      if (wide && last - x >= look.wide) wide(i, x, last);
      x = last;
      painted = x - 1;
      i = aboveNear(ends, from + x * scale, i, high);
      continue;
    }
    const start = from + x * scale, end = start + scale;
    const j = aboveNear(ends, end, i, high);
    shareOut(track, i, j, start, end);
    const edge = isEdge(track, i, j, start);
    if (!edge) paintColumn(raster, look, x, top, height, j - i < FEW);
    if (!edge || paintEdge(raster, look, x, top, height, track, i, j)) painted = x;
    x++;
    i = j;
  }
}

/* ---- Colours ---------------------------------------------------------------------------------------------------------- */

/* "#rrggbb" as the pixel that means it. */
function pixelOf(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
}

function mix(colour, other, share) {
  const part = (at) => Math.round(((colour >>> at) & 255) * (1 - share) + ((other >>> at) & 255) * share) << at;
  return (0xff000000 | part(0) | part(8) | part(16)) >>> 0;
}

const COLOURS = ["background", "row", "line", "text", "muted", "run", "run-text", "ready", "ready-line", "ready-text", "blocked", "call",
  "call-line", "call-text", "span", "span-text", "path", "arrow", "focus", "warn", "gutter", "counter"];

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const css = {};
  for (const name of COLOURS) css[name] = style.getPropertyValue(`--${name}`).trim();
  return css;
}

function lookOf(css, faded) {
  const background = pixelOf(css.background);
  const colour = (name) => mix(pixelOf(css[name]), background, faded);
  return { run: colour("run"), ready: colour("ready"), readyLine: colour("ready-line"), blocked: colour("blocked"),
    call: colour("call"), callLine: colour("call-line"), size: 1, shift: 0, wide: 30, gaps: true };
}
