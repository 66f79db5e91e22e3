/* What part of the trace is in view, and how it moves: wheel, drags, keys. */

class View {
  constructor(duration) {
    Object.assign(this, { duration, content: 0, from: 0, scale: 1, width: 1, height: 1, top: 0 });
  }

  /* A little room at both ends; the closest look is a hundred pixels a nanosecond. */
  whole() {
    this.scale = Math.max(this.duration, 100) / Math.max(1, this.width - 16);
    this.from = -8 * this.scale;
  }

  resize(width, height) {
    const was = this.scale * this.width;
    const whole = this.isWhole();
    this.width = Math.max(40, width);
    this.height = Math.max(20, height);
    if (whole) this.whole();
    else this.scale = was / this.width;
    this.clamp();
  }

  isWhole() {
    return this.from <= 0 && this.from + this.scale * this.width >= this.duration;
  }

  clamp() {
    const widest = (1.02 * Math.max(this.duration, 100)) / Math.max(1, this.width - 16);
    this.scale = Math.min(widest, Math.max(0.01, this.scale));
    const length = this.scale * this.width, room = 0.1 * length;
    this.from = length > this.duration ? (this.duration - length) / 2 : Math.max(-room, Math.min(this.duration - length + room, this.from));
    this.top = Math.max(0, Math.min(this.content - this.height, this.top));
  }

  zoom(factor, x = this.width / 2) {
    const time = this.from + x * this.scale;
    const before = this.scale;
    this.scale *= factor;
    this.clamp();
    if (this.scale !== before) this.from = time - x * this.scale;
    this.clamp();
  }

  move(pixels) {
    this.from += pixels * this.scale;
    this.clamp();
  }
}

/* ---- Where a pointer is ----------------------------------------------------------------------------------------------- */

const NEAR = 4; /* pixels */

/* The position in a track that is at `time`, or nearest within `room`; NOBODY. */
function positionAt(track, time, room) {
  const i = above(track.to, time, track.low, track.high);
  if (i < track.high && track.from[i] <= time) return i;
  const after = i < track.high ? track.from[i] - time : Infinity, before = i > track.low ? time - track.to[i - 1] : Infinity;
  if (Math.min(after, before) > room) return NOBODY;
  return after < before ? i : i - 1;
}

function pointAt(times, time, room) {
  const i = above(times, time, 0, times.length);
  const after = i < times.length ? times[i] - time : Infinity, before = i > 0 ? time - times[i - 1] : Infinity;
  if (Math.min(after, before) > room) return NOBODY;
  return after < before ? i : i - 1;
}

/* What lies in a lane at a time: {kind, index}; `crowd` says how many share the pixel. null: nothing. */
function thingAt(lane, time, scale) {
  const { track } = lane, room = NEAR * scale;
  if (!track) return null;
  if (lane.kind === "marks") {
    const i = pointAt(track.time, time, room);
    return i === NOBODY ? null : { kind: "mark", index: track.ids[i] };
  }
  if (lane.kind === "counter") {
    const i = above(track.time, time, 0, track.time.length) - 1;
    return i < 0 ? null : { kind: "sample", index: track.ids[i] };
  }
  const i = positionAt(track, time, room);
  if (i === NOBODY) return null;
  const crowd = aboveNear(track.to, time + scale, i, track.high) - i;
  return { kind: lane.kind === "span" ? "span" : "interval", index: track.ids ? track.ids[i] : i, crowd, track };
}

/* ---- Input ------------------------------------------------------------------------------------------------------------ */

const DRAG = 4; /* pixels after which a press is a drag */

/* Calls begin(event) at a press, move(event, dx, dy) from when it is a drag, end(event, moved) when it is over. */
function onDrag(node, { begin, move, end }) {
  let start = null, moved = false;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = event;
    moved = false;
    node.setPointerCapture(event.pointerId);
    if (begin) begin(event);
  });
  node.addEventListener("pointermove", (event) => {
    if (!start) return;
    moved ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > DRAG;
    if (moved) move(event, event.clientX - start.clientX, event.clientY - start.clientY);
  });
  const over = (event) => {
    if (start && end) end(event, moved);
    start = null;
  };
  node.addEventListener("pointerup", over);
  node.addEventListener("pointercancel", over);
}
