/* A frame: ruler, overview, lanes, and what lies upon them. Sizes are CSS pixels, except in a Raster and in a look. */

const GUTTER = 168;
const FEW_ARROWS = 80; /* so many wake-ups in view are all shown */
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const SMALL = FONT.replace("12px", "11px");

/* Text cut to a width; most texts are measured once. */
class Cutter {
  constructor(context) {
    this.context = context;
    this.widths = new Map();
  }
  width(text) {
    const key = this.context.font + text;
    if (!this.widths.has(key)) {
      if (this.widths.size > 20000) this.widths.clear();
      this.widths.set(key, this.context.measureText(text).width);
    }
    return this.widths.get(key);
  }
  /* Of names the middle is left out: those of threads often differ at their ends alone. */
  cut(text, room, isName = true) {
    const width = this.width(text);
    if (width <= room) return text;
    const keep = Math.floor((text.length * (room - 10)) / width), tail = isName && keep > 4 ? Math.ceil(keep / 3) : 0;
    return keep < 4 ? "" : text.slice(0, keep - tail) + "…" + text.slice(text.length - tail);
  }
}

class Painter {
  constructor(trace, lanes, words, view) {
    Object.assign(this, { trace, lanes, words, view });
    this.canvas = byId("lanes");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.raster = new Raster(this.context);
    this.cutter = new Cutter(this.context);
    this.ruler = byId("ruler").getContext("2d", { alpha: false });
    this.overview = byId("overview").getContext("2d", { alpha: false });
    this.restyle();
  }

  restyle() {
    this.css = readColours();
    this.look = lookOf(this.css, 0);
    this.faded = lookOf(this.css, 0.72);
    this.spanLook = { ...this.look, run: pixelOf(this.css.span) };
    this.strip = null;
  }

  /* The backing store of each canvas has the screen's own pixels. Where these are fine, bars are painted in coarser ones: `factor` of
   * the screen's a side, `ratio` to one of CSS. A frame then costs the same. */
  fit(context, width, height) {
    const device = Math.min(3, window.devicePixelRatio || 1);
    this.factor = Math.max(1, Math.floor(device));
    this.ratio = device / this.factor;
    const { canvas } = context;
    const w = Math.max(1, Math.round(width * device)), h = Math.max(1, Math.round(height * device));
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    context.setTransform(device, 0, 0, device, 0, 0);
    context.textBaseline = "middle";
    context.font = FONT;
  }

  x(time) {
    return (time - this.view.from) / this.view.scale;
  }

  paint(state) {
    this.paintRuler(state);
    this.paintOverview(state);
    this.paintLanes(state);
  }

  /* ---- Ruler ---- */

  /* A step of 1, 2 or 5 times a power of ten that leaves room for its labels. */
  step() {
    const least = 110 * this.view.scale;
    const power = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= least) * power;
    return Math.max(1, step);
  }

  eachTick(step, paint) {
    const { view, trace } = this;
    const last = Math.min(trace.duration, view.from + view.width * view.scale);
    for (let n = Math.max(0, Math.ceil(view.from / step)); n * step <= last; n++) paint(this.x(n * step), n * step);
  }

  paintRuler({ pointer, range }) {
    const { ruler: c, view, css } = this;
    const height = 26, step = this.step();
    this.fit(c, GUTTER + view.width, height);
    c.fillStyle = css.gutter;
    c.fillRect(0, 0, GUTTER + view.width, height);
    c.font = SMALL;
    c.fillStyle = css.muted;
    c.fillText("time", 12, height / 2 + 1);
    c.save();
    c.beginPath();
    c.rect(GUTTER, 0, view.width, height);
    c.clip();
    c.translate(GUTTER, 0);
    this.eachTick(step, (x, time) => {
      c.fillStyle = css.line;
      c.fillRect(Math.round(x), 14, 1, 12);
      c.fillStyle = css.muted;
      c.fillText(time === 0 ? "0" : moment(time, step), Math.round(x) + 5, height / 2 + 1);
    });
    if (range) this.paintRangeLabel(c, range, height);
    else if (pointer) this.paintPointerLabel(c, pointer, height);
    c.restore();
  }

  tag(c, text, x, height, colour) {
    const width = this.cutter.width(text) + 12;
    const left = Math.max(2, Math.min(this.view.width - width - 2, x - width / 2));
    c.fillStyle = colour;
    c.beginPath();
    c.roundRect(left, 4, width, height - 8, 4);
    c.fill();
    c.fillStyle = this.css.background;
    c.fillText(text, left + 6, height / 2 + 1);
  }

  paintPointerLabel(c, pointer, height) {
    const time = this.view.from + pointer.x * this.view.scale;
    if (time >= 0 && time <= this.trace.duration) this.tag(c, moment(time, Math.max(1, this.view.scale)), pointer.x, height, this.css.text);
  }

  paintRangeLabel(c, range, height) {
    const left = this.x(range.from), right = this.x(range.to);
    c.fillStyle = this.css.focus;
    c.fillRect(left, height - 3, Math.max(1, right - left), 3);
    this.tag(c, duration(range.to - range.from), (Math.max(0, left) + Math.min(this.view.width, right)) / 2, height, this.css.focus);
  }

  /* ---- Overview ---- */

  /* How busy the workers were in each column, over the whole trace; kept until width or colours change. */
  busyStrip(width) {
    if (this.strip && this.strip.length === width) return this.strip;
    const workers = this.lanes.list.filter((lane) => lane.kind === "worker");
    const scale = this.trace.duration / width;
    this.strip = new Float64Array(width);
    for (const { track } of workers) {
      let i = track.low;
      for (let x = 0; x < width && i < track.high; x++) {
        const j = aboveNear(track.to, (x + 1) * scale, i, track.high);
        shareOut(track, i, j, x * scale, (x + 1) * scale);
        this.strip[x] += shares[RUN] / workers.length;
        i = j;
      }
    }
    return this.strip;
  }

  paintOverview({ range }) {
    const { overview: c, view, css, trace } = this;
    const height = 40, width = Math.floor(view.width);
    this.fit(c, GUTTER + view.width, height);
    c.fillStyle = css.gutter;
    c.fillRect(0, 0, GUTTER + view.width, height);
    c.font = SMALL;
    c.fillStyle = css.muted;
    c.fillText("whole trace", 12, 13);
    c.fillText("workers busy", 12, 27);
    c.translate(GUTTER, 0);
    c.fillStyle = css.background;
    c.fillRect(0, 0, width, height);
    if (trace.duration <= 0) return;
    c.fillStyle = css.run;
    this.busyStrip(width).forEach((share, x) => {
      const tall = Math.min(1, share) * (height - 8);
      if (share > 0) c.fillRect(x, height - 2 - Math.max(1, tall), 1, Math.max(1, tall));
    });
    const x = (time) => (time / trace.duration) * width;
    if (range) {
      c.fillStyle = css.focus;
      c.fillRect(x(range.from), height - 3, Math.max(1, x(range.to) - x(range.from)), 3);
    }
    const left = Math.max(0, x(view.from)), right = Math.min(width, x(view.from + view.width * view.scale));
    this.paintWindow(c, left, Math.max(left + 2, right), width, height);
  }

  paintWindow(c, left, right, width, height) {
    c.globalAlpha = 0.62;
    c.fillStyle = this.css.gutter;
    c.fillRect(0, 0, left, height);
    c.fillRect(right, 0, width - right, height);
    c.globalAlpha = 1;
    c.strokeStyle = this.css.focus;
    c.lineWidth = 1.5;
    c.strokeRect(left + 0.75, 1.5, Math.max(1, right - left - 1.5), height - 3);
  }

  /* ---- Lanes ---- */

  visible() {
    const { list } = this.lanes, { top, height } = this.view;
    const first = laneAt(this.lanes, top);
    let last = first;
    while (last < list.length && list[last].y < top + height) last++;
    return list.slice(first, last);
  }

  box(lane) {
    const padding = PADDING[lane.kind];
    return { top: lane.y - this.view.top + padding, height: lane.height - 2 * padding };
  }

  paintLanes(state) {
    const { view, context: c, raster, css } = this;
    this.fit(c, GUTTER + view.width, view.height);
    const ratio = this.ratio;
    raster.resize(Math.floor(view.width * ratio), Math.floor(view.height * ratio));
    raster.clear(pixelOf(css.background));
    const period = 4 * Math.ceil(ratio);
    const shift = Math.floor((view.from / view.scale) * ratio) % period;
    for (const look of [this.look, this.faded, this.spanLook])
      Object.assign(look, { size: Math.ceil(ratio), shift: (shift + period) % period, wide: 34 * ratio });
    const lanes = this.visible(), labels = [];
    this.paintGrid();
    for (const lane of lanes) this.paintBars(lane, state, labels);
    raster.present(Math.round(GUTTER * ratio) * this.factor, this.factor);
    c.save();
    c.beginPath();
    c.rect(GUTTER, 0, view.width, view.height);
    c.clip();
    c.translate(GUTTER, 0);
    this.paintOver(lanes, state, labels);
    c.restore();
    this.paintGutter(lanes, state);
  }

  paintBars(lane, state, labels) {
    const { raster, view, ratio } = this;
    const { top, height } = this.box(lane);
    const y = Math.round(top * ratio), tall = Math.round(height * ratio), scale = view.scale / ratio;
    if (lane.kind === "heading") raster.fill(0, raster.width, lane.y * ratio - view.top * ratio, (lane.y + lane.height - view.top) * ratio, pixelOf(this.css.gutter));
    if (lane.kind === "thread" && state.thread === lane.thread)
      raster.fill(0, raster.width, (lane.y - view.top) * ratio, (lane.y + lane.height - view.top) * ratio, pixelOf(this.css.row));
    if (!lane.track || !lane.track.from) return;
    const plain = lane.kind === "span" ? this.spanLook : this.look;
    const look = state.path && lane.kind !== "span" ? this.faded : plain;
    paintTrack(raster, look, lane.track, view.from, scale, y, tall, (i, x0, x1) => labels.push([lane, i, x0 / ratio, x1 / ratio]));
    if (state.path && state.pathTracks.has(lane)) this.paintPathTrack(state.pathTracks.get(lane), y, tall, scale);
  }

  /* The pieces that are on the critical path: in full colour, and underlined. */
  paintPathTrack({ bars, line }, y, tall, scale) {
    const { raster, view, ratio } = this;
    paintTrack(raster, this.look, bars, view.from, scale, y, tall, null);
    const colour = { ...this.look, run: pixelOf(this.css.path), gaps: false };
    paintTrack(raster, colour, line, view.from, scale, y + tall, Math.round(2 * ratio), null);
  }

  paintOver(lanes, state, labels) {
    const c = this.context;
    this.paintShades(state);
    c.font = SMALL;
    for (const [lane, i, x0, x1] of labels) this.paintLabel(lane, i, x0, x1, state);
    for (const lane of lanes) {
      if (lane.kind === "counter") this.paintCounter(lane);
      if (lane.kind === "marks") this.paintMarks(lane);
    }
    if (state.path) this.paintPathLinks(state.pathSteps);
    for (const arrow of this.arrows(lanes, state)) this.paintArrow(arrow);
    if (state.selected) this.paintOutline(state.selected, 2);
    if (state.hovered) this.paintOutline(state.hovered, 1);
  }

  /* Beneath the bars. */
  paintGrid() {
    const { raster, ratio } = this, size = Math.ceil(ratio), colour = mix(pixelOf(this.css.line), pixelOf(this.css.background), 0.4);
    this.eachTick(this.step(), (x) => {
      const at = Math.round(x * ratio);
      if (at >= 0 && at + size <= raster.width) raster.fill(at, at + size, 0, raster.height, colour);
    });
  }

  paintShades({ pointer, range }) {
    const { context: c, view, css, trace } = this;
    if (range) {
      c.globalAlpha = 0.14;
      c.fillStyle = css.focus;
      c.fillRect(this.x(range.from), 0, Math.max(1, this.x(range.to) - this.x(range.from)), view.height);
      c.globalAlpha = 1;
    }
    c.fillStyle = css.gutter;
    const left = this.x(0), right = this.x(trace.duration);
    if (left > 0) c.fillRect(0, 0, left, view.height);
    if (right < view.width) c.fillRect(right, 0, view.width - right, view.height);
    c.fillStyle = css.muted;
    if (pointer) c.fillRect(Math.round(pointer.x), 0, 1, view.height);
  }

  labelOf(lane, i) {
    if (lane.kind === "span") return this.words.string(this.trace.spans.name[lane.track.ids[i]]);
    if (lane.kind === "worker") return this.words.thread(this.trace.intervals.thread[lane.track.ids[i]]);
    return this.words.label(i);
  }

  paintLabel(lane, i, x0, x1, { path }) {
    const { context: c, css } = this;
    const state = lane.track.state[i];
    if (path && lane.kind === "thread" && (state === READY || state === CALL)) return; /* their plates would outshine the path */
    const left = Math.max(0, x0) + 5;
    const text = this.cutter.cut(this.labelOf(lane, i), x1 - left - 4, lane.kind === "worker" || state === BLOCKED);
    if (!text) return;
    const { top, height } = this.box(lane);
    const inBar = { 0: css["run-text"], 1: css["ready-text"], 2: css.muted, 3: css["call-text"] }[state];
    const y = state === BLOCKED ? top + height * 0.42 : state === RUN ? top + height / 2 : top + height * 0.7;
    if (state === READY || state === CALL) this.paintPlate(text, left, y, state);
    c.fillStyle = lane.kind === "span" ? css["span-text"] : path && state === RUN ? css.text : inBar;
    c.fillText(text, left, y + 0.5);
  }

  /* A plain ground for words on a pattern. */
  paintPlate(text, x, y, state) {
    const { context: c, css } = this;
    c.fillStyle = state === READY ? css.ready : css.call;
    c.fillRect(x - 2, y - 5, this.cutter.width(text) + 4, 10);
  }

  paintMarks(lane) {
    const { context: c, view, css } = this;
    const { time, ids } = lane.track, { top, height } = this.box(lane);
    let i = above(time, view.from, 0, time.length), last = -1;
    c.fillStyle = css.path;
    for (; i < time.length && this.x(time[i]) < view.width; ) {
      const x = this.x(time[i]);
      c.fillRect(Math.round(x), top, 1.5, height);
      const next = aboveNear(time, time[i] + view.scale, i, time.length);
      const room = (next < time.length ? this.x(time[next]) : view.width) - x;
      const text = room > 30 && x > last ? this.cutter.cut(this.words.string(this.trace.marks.name[ids[i]]), room - 10) : "";
      if (text) {
        c.fillStyle = css.text;
        c.fillText(text, x + 5, top + height / 2 + 0.5);
        c.fillStyle = css.path;
      }
      i = next;
    }
  }

  /* Steps: a counter keeps its value until the next sample; a column with many shows their least and largest. */
  paintCounter(lane) {
    const { context: c, view, css } = this;
    const { time, value, bottom, top: most } = lane.track, { top, height } = this.box(lane);
    const end = Math.min(view.width, this.x(this.trace.duration));
    const y = (v) => top + height - ((v - bottom) / (most - bottom || 1)) * (height - 2);
    let i = Math.max(0, above(time, view.from, 0, time.length) - 1), x = Math.max(0, Math.floor(this.x(time[i])));
    c.fillStyle = css.counter;
    while (x < end) {
      const j = aboveNear(time, view.from + (x + 1) * view.scale, i, time.length), last = Math.max(i, j - 1);
      const [low, high] = extremes(lane.track, i, last + 1);
      const next = j < time.length ? Math.max(x + 1, Math.min(end, Math.floor(this.x(time[j])))) : end;
      c.globalAlpha = 0.22;
      c.fillRect(x, y(value[last]), next - x, top + height - y(value[last]));
      c.globalAlpha = 1;
      c.fillRect(x, y(value[last]) - 1, next - x, 1.5);
      c.fillRect(x, y(high) - 1, 1, y(low) - y(high) + 1.5);
      x = next;
      i = last;
    }
  }

  /* ---- Arrows, the critical path, the selection ---- */

  /* Where wait i ended, from its waker's lane to its thread's. */
  arrowOf(i) {
    const { waker, thread, to } = this.trace.intervals;
    if (waker[i] === NOBODY || waker[i] === thread[i]) return [];
    return [{ from: waker[i], to: thread[i], time: to[i] }];
  }

  arrowsAbout(i) {
    const { state, thread, from, to } = this.trace.intervals;
    const wait = this.words.waitOf(i);
    const arrows = wait === NOBODY ? [] : this.arrowOf(wait);
    if (state[i] !== RUN) return arrows;
    const { ids, time } = this.wakes()[thread[i]];
    const first = above(time, from[i] - 0.5, 0, time.length);
    for (let k = first; k < time.length && time[k] <= to[i] && k < first + FEW_ARROWS; k++) arrows.push(...this.arrowOf(ids[k]));
    return arrows;
  }

  wakes() {
    return (this.wakeLists ||= wakesByWaker(this.trace));
  }

  /* All of the waits that end in view, if they are few. */
  arrowsInView(lanes) {
    const { view, trace } = this, { to, state } = trace.intervals, arrows = [];
    const end = view.from + view.width * view.scale;
    for (const { kind, track } of lanes) {
      if (kind !== "thread") continue;
      const i = above(to, view.from, track.low, track.high), j = aboveNear(to, end, i, track.high);
      if (j - i > 20 * FEW_ARROWS) return [];
      for (let k = i; k < j; k++) if (state[k] === BLOCKED) arrows.push(...this.arrowOf(k));
      if (arrows.length > FEW_ARROWS) return [];
    }
    return arrows;
  }

  arrows(lanes, { arrows, path, selected, hovered }) {
    if (!arrows) return [];
    const chosen = [selected, hovered].filter((thing) => thing && thing.kind === "interval");
    const about = chosen.flatMap(({ index }) => this.arrowsAbout(index)).map((arrow) => ({ ...arrow, strong: true }));
    return path ? about : [...this.arrowsInView(lanes), ...about]; /* the path has lines of its own */
  }

  laneBox(thread) {
    return this.box(this.lanes.list[this.lanes.ofThread[thread]]);
  }

  paintArrow({ from, to, time, strong }) {
    const { context: c, css, view } = this;
    const x = this.x(time);
    if (x < -2 || x > view.width + 2) return;
    const start = this.laneBox(from), end = this.laneBox(to), down = end.top > start.top;
    const y0 = start.top + start.height / 2, y1 = end.top + end.height * (down ? 0.35 : 0.65);
    const bow = Math.min(14, Math.abs(y1 - y0) / 4), head = down ? -1 : 1;
    c.strokeStyle = c.fillStyle = css.arrow;
    c.lineWidth = strong ? 2 : 1;
    c.globalAlpha = strong ? 1 : 0.6;
    c.beginPath();
    c.arc(x, y0, strong ? 2.5 : 1.75, 0, 7);
    c.fill();
    c.beginPath();
    c.moveTo(x, y0);
    c.bezierCurveTo(x - bow, y0 + (y1 - y0) * 0.3, x - bow, y0 + (y1 - y0) * 0.7, x, y1 + 4 * head);
    c.stroke();
    c.beginPath();
    c.moveTo(x, y1);
    c.lineTo(x - 3.5, y1 + 7 * head);
    c.lineTo(x + 3.5, y1 + 7 * head);
    c.fill();
    c.globalAlpha = 1;
  }

  /* From one piece of the critical path to the next, where they are of different threads. */
  paintPathLinks({ from, to, interval, size }) {
    const { context: c, view, css, trace } = this;
    const first = above(to, view.from, 0, size), last = above(from, view.from + view.width * view.scale, 0, size);
    if (last - first > 4 * FEW_ARROWS) return;
    c.fillStyle = css.path;
    for (let i = Math.max(1, first); i < last; i++) {
      const a = trace.intervals.thread[interval[i - 1]], b = trace.intervals.thread[interval[i]];
      if (a === b) continue;
      const [y0, y1] = [a, b].map((thread) => this.laneBox(thread)).map(({ top, height }) => top + height + 1);
      c.fillRect(Math.round(this.x(from[i])) - 1, Math.min(y0, y1), 2, Math.abs(y1 - y0));
    }
  }

  /* The lanes in which a thing can be seen. */
  lanesOf({ kind, index }) {
    const { trace, lanes } = this, { list, ofThread } = lanes;
    if (kind === "mark") return list.filter((lane) => lane.kind === "marks");
    if (kind === "sample") return list.filter((lane) => lane.kind === "counter" && lane.name === trace.samples.name[index]);
    if (kind === "span") {
      const thread = trace.spans.thread[index], depth = trace.spans.depth[index];
      return [list.find((lane) => lane.kind === "span" && lane.thread === thread && lane.depth === depth)];
    }
    const worker = trace.intervals.worker[index];
    const onWorker = list.filter((lane) => lane.kind === "worker" && lane.worker === worker);
    return [list[ofThread[trace.intervals.thread[index]]], ...onWorker];
  }

  paintOutline(thing, width) {
    const { context: c, css, view } = this;
    const [from, to] = timesOf(this.trace, thing);
    const left = Math.max(-4, this.x(from)), right = Math.min(view.width + 4, Math.max(this.x(to), left + 3));
    if (right < 0 || left > view.width) return;
    c.strokeStyle = css.focus;
    c.lineWidth = width;
    for (const lane of (thing.lanes ||= this.lanesOf(thing))) {
      const { top, height } = this.box(lane);
      c.strokeRect(left - width / 2, top - width / 2, right - left + width, height + width);
    }
  }

  /* ---- Names ---- */

  /* A counter's largest value, at the height where it is drawn. Returns its width. */
  paintMost(text, y) {
    const { context: c, css } = this;
    c.font = SMALL;
    c.fillStyle = css.muted;
    c.textAlign = "right";
    c.fillText(text, GUTTER - 6, y);
    c.textAlign = "left";
    const width = this.cutter.width(text) + 4;
    c.font = FONT;
    c.fillStyle = css.text;
    return width;
  }

  paintName(lane, y, state) {
    const { context: c, css } = this;
    const chosen = lane.kind === "thread" && lane.thread === state.thread;
    if (chosen || (lane.kind === "thread" && state.found.has(lane.thread))) {
      c.fillStyle = chosen ? css.row : css.gutter;
      c.fillRect(0, y, GUTTER, lane.height);
      c.fillStyle = css.focus;
      c.fillRect(0, y + 2, 3, lane.height - 4);
    }
    const heading = lane.kind === "heading";
    c.font = heading ? `600 ${SMALL}` : FONT;
    c.fillStyle = heading ? css.muted : css.text;
    const most = lane.kind === "counter" ? this.paintMost(count(lane.track.top), y + PADDING.counter + 5) : 0;
    c.fillText(this.cutter.cut(lane.label, GUTTER - 22 - most), 12, y + lane.height / 2 + 0.5);
  }

  paintGutter(lanes, state) {
    const { context: c, view, css } = this;
    c.fillStyle = css.gutter;
    c.fillRect(0, 0, GUTTER, view.height);
    for (const lane of lanes) this.paintName(lane, lane.y - view.top, state);
    c.fillStyle = css.line;
    c.fillRect(GUTTER - 1, 0, 1, view.height);
  }
}

/* From and to of an interval, span, mark or sample. */
function timesOf(trace, { kind, index }) {
  const set = { interval: trace.intervals, span: trace.spans, mark: trace.marks, sample: trace.samples }[kind];
  return set.from ? [set.from[index], set.to[index]] : [set.time[index], set.time[index]];
}

/* For each lane the pieces of the critical path in it: as they are, and as one line. */
function pathTracks(trace, lanes) {
  const { path, intervals } = trace, tracks = new Map(), byLane = new Map();
  const state = Uint8Array.from(path.interval, (id) => intervals.state[id]);
  for (let i = 0; i < path.size; i++) {
    const id = path.interval[i], worker = intervals.worker[id];
    const places = [lanes.list[lanes.ofThread[intervals.thread[id]]]];
    if (worker !== NOBODY && worker < trace.workers) places.push(lanes.list[1 + worker]);
    for (const lane of places) byLane.has(lane) ? byLane.get(lane).push(i) : byLane.set(lane, [i]);
  }
  for (const [lane, list] of byLane) {
    const ids = Uint32Array.from(list);
    tracks.set(lane, { bars: trackOf(ids, { ...path, state }, true), line: trackOf(ids, { from: path.from, to: path.to }, true) });
  }
  return tracks;
}
