/* The trace as the page holds it.
 *
 * Text is in one JSON script element, numbers in another: base64 of variable-length integers (7 bits a byte, the lowest first;
 * the top bit says that more follow; those that may be negative are zigzag). cli/timeline_page.c writes them in the order in which
 * they are read here. Times are ns since the trace began. */

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

class Numbers {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  next() {
    const bytes = this.bytes;
    let byte = bytes[this.at++];
    if (byte < 128) return byte;
    let value = byte & 127, scale = 128;
    do {
      byte = bytes[this.at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  }
  signed() {
    const value = this.next();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }
  /* Something that may be missing: NOBODY. */
  index() {
    return this.next() - 1;
  }
}

const BORN_BEFORE = 1, LIVES_ON = 2, OUTSIDE = 4;

function readThread(numbers, text, index, first) {
  const thread = { index, first, id: text.threads[index][0], name: text.threads[index][1], creator: numbers.index() };
  thread.born = numbers.next();
  thread.ended = thread.born + numbers.next();
  const flags = numbers.next();
  thread.bornBefore = (flags & BORN_BEFORE) !== 0;
  thread.livesOn = (flags & LIVES_ON) !== 0;
  thread.outside = (flags & OUTSIDE) !== 0;
  thread.size = numbers.next();
  thread.runs = numbers.next();
  thread.total = STATES.map(() => numbers.next());
  thread.switches = REASONS.map(() => numbers.next());
  return thread;
}

function readThreads(numbers, text) {
  let first = 0;
  return text.threads.map((_, index) => {
    const thread = readThread(numbers, text, index, first);
    first += thread.size;
    return thread;
  });
}

/* Each state's time in all intervals before one: what a pixel shows of thousands is a difference of two of these. */
function addUp(from, to, state, size) {
  const sums = STATES.map(() => new Float64Array(size + 1)), [run, ready, blocked, call] = sums;
  let a = 0, b = 0, c = 0, d = 0;
  for (let i = 0; i < size; i++) {
    const time = to[i] - from[i], s = state[i];
    if (s === RUN) a += time;
    else if (s === READY) b += time;
    else if (s === BLOCKED) c += time;
    else d += time;
    run[i + 1] = a;
    ready[i + 1] = b;
    blocked[i + 1] = c;
    call[i + 1] = d;
  }
  return sums;
}

function readInterval(numbers, set, i, time) {
  const kind = numbers.next(), state = kind & 3;
  set.from[i] = time += numbers.next();
  set.to[i] = time += numbers.next();
  set.state[i] = state;
  set.reason[i] = kind >> 2;
  set.worker[i] = state === RUN ? numbers.index() : NOBODY;
  set.object[i] = state === BLOCKED ? numbers.index() : NOBODY;
  set.what[i] = state === BLOCKED ? numbers.next() : 0;
  set.waker[i] = state === BLOCKED ? numbers.index() : NOBODY;
  return time;
}

/* Intervals of all threads, one thread after the other, each in order of time. */
function readIntervals(numbers, threads) {
  const size = threads.reduce((sum, thread) => sum + thread.size, 0);
  const set = {
    size, from: new Float64Array(size), to: new Float64Array(size), thread: new Int32Array(size), state: new Uint8Array(size),
    reason: new Uint8Array(size), worker: new Int32Array(size), object: new Int32Array(size), what: new Uint32Array(size),
    waker: new Int32Array(size),
  };
  for (const { index, first, size: count } of threads) {
    set.thread.fill(index, first, first + count);
    for (let i = first, time = 0; i < first + count; i++) time = readInterval(numbers, set, i, time);
  }
  set.sums = addUp(set.from, set.to, set.state, size);
  return set;
}

/* Its own name; or, where a thread waited for another, that one's; or what sort of thing it is, and where. */
function nameObject(object, strings, threadsById) {
  const given = strings[object.given], what = strings[object.what], thread = threadsById.get(BigInt(object.address).toString());
  if (given) return given;
  return thread ? `${what || "the end of thread"} ${thread.name}` : `${what || "object"} at ${object.address}`;
}

function readObjects(numbers, text, threads) {
  const threadsById = new Map(threads.map((thread) => [thread.id, thread]));
  return text.objects.map((address, index) => {
    const object = { index, address, given: numbers.next(), what: numbers.next() };
    object.name = nameObject(object, text.strings, threadsById);
    object.lock = numbers.next() === 1;
    for (const key of ["waits", "acquired", "waited", "longest", "held", "longestHeld", "most"]) object[key] = numbers.next();
    for (const key of ["longestBy", "mostBy", "holder"]) object[key] = numbers.index();
    return object;
  });
}

function readSpans(numbers) {
  const size = numbers.next();
  const set = {
    size, thread: new Int32Array(size), from: new Float64Array(size), to: new Float64Array(size), depth: new Uint16Array(size),
    name: new Uint32Array(size), open: new Uint8Array(size),
  };
  let time = 0;
  for (let i = 0; i < size; i++) {
    set.thread[i] = numbers.next();
    set.from[i] = time += numbers.signed();
    set.to[i] = time + numbers.next();
    const depth = numbers.next();
    set.depth[i] = depth >>> 1;
    set.open[i] = depth & 1;
    set.name[i] = numbers.next();
  }
  return set;
}

function readSamples(numbers) {
  const size = numbers.next();
  const set = { size, time: new Float64Array(size), name: new Uint32Array(size), value: new Float64Array(size) };
  let time = 0;
  for (let i = 0; i < size; i++) {
    set.time[i] = time += numbers.signed();
    set.name[i] = numbers.next();
    set.value[i] = numbers.signed();
  }
  return set;
}

function readMarks(numbers) {
  const size = numbers.next();
  const set = { size, time: new Float64Array(size), thread: new Int32Array(size), name: new Uint32Array(size) };
  let time = 0;
  for (let i = 0; i < size; i++) {
    set.time[i] = time += numbers.signed();
    set.thread[i] = numbers.index();
    set.name[i] = numbers.next();
  }
  return set;
}

/* The critical path: pieces of intervals, one after the other in time. */
function readPath(numbers) {
  const size = numbers.next();
  const set = { size, interval: new Uint32Array(size), from: new Float64Array(size), to: new Float64Array(size) };
  let interval = 0, time = 0;
  for (let i = 0; i < size; i++) {
    set.interval[i] = interval += numbers.signed();
    set.from[i] = time += numbers.signed();
    set.to[i] = time += numbers.next();
  }
  return set;
}

function readTrace() {
  const text = JSON.parse(byId("text").textContent);
  const numbers = new Numbers(bytesOf(byId("numbers").textContent.trim()));
  const trace = { ...text, duration: numbers.next(), workers: numbers.next(), events: numbers.next(), lost: numbers.next() };
  trace.threads = readThreads(numbers, text);
  trace.intervals = readIntervals(numbers, trace.threads);
  trace.objects = readObjects(numbers, text, trace.threads);
  trace.spans = readSpans(numbers);
  trace.samples = readSamples(numbers);
  trace.marks = readMarks(numbers);
  trace.path = readPath(numbers);
  byId("numbers").remove();
  byId("text").remove();
  return trace;
}

/* ---- Orders and indexes ----------------------------------------------------------------------------------------------- */

const DIGIT = 11; /* bits of a digit by which is sorted */

/* One pass: `from` into `to`, by a digit of each one's key. */
function sortByDigit(from, to, keys, shift) {
  const starts = new Uint32Array((1 << DIGIT) + 1), mask = (1 << DIGIT) - 1, size = from.length;
  for (let i = 0; i < size; i++) starts[((keys[from[i]] >>> shift) & mask) + 1]++;
  for (let d = 0; d < mask; d++) starts[d + 1] += starts[d];
  for (let i = 0; i < size; i++) to[starts[(keys[from[i]] >>> shift) & mask]++] = from[i];
}

/* The numbers of `ids`, sorted by times[id]: digit by digit, for a comparison a step would cost a second for a million. */
function sortedByTime(ids, times) {
  const size = ids.length, low = new Uint32Array(size), high = new Uint32Array(size);
  let order = new Uint32Array(size), spare = new Uint32Array(size), highest = 0, sorted = true;
  for (let i = 0; i < size; i++) {
    const time = times[ids[i]];
    low[i] = time; /* its lower 32 bits */
    high[i] = time / 4294967296;
    highest = Math.max(highest, high[i]);
    sorted &&= i === 0 || times[ids[i - 1]] <= time;
    order[i] = i;
  }
  if (sorted) return ids;
  const pass = (keys, shift) => {
    sortByDigit(order, spare, keys, shift);
    [order, spare] = [spare, order];
  };
  for (let shift = 0; shift < 32; shift += DIGIT) pass(low, shift);
  for (let shift = 0; shift < 32 && highest >>> shift > 0; shift += DIGIT) pass(high, shift);
  return order.map((i) => ids[i]);
}

/* The positions 0..size for which keep(i), by key(i) in 0..keys: lists[key]. */
function grouped(order, keys, key) {
  const sizes = new Uint32Array(keys);
  for (let i = 0; i < order.length; i++) sizes[key(order[i])]++;
  const lists = Array.from(sizes, (size) => new Uint32Array(size));
  sizes.fill(0);
  for (let i = 0; i < order.length; i++) {
    const k = key(order[i]);
    lists[k][sizes[k]++] = order[i];
  }
  return lists;
}

function selectIds(size, keep) {
  const ids = new Uint32Array(size);
  let found = 0;
  for (let i = 0; i < size; i++) if (keep(i)) ids[found++] = i;
  return ids.slice(0, found);
}

/* What a lane draws: [low, high) of `from` and `to`, sorted, not overlapping. ids: their numbers, or null where position is number. */
function trackOf(ids, set, withSums) {
  const from = new Float64Array(ids.length), to = new Float64Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    from[i] = set.from[ids[i]];
    to[i] = set.to[ids[i]];
  }
  const state = set.state ? Uint8Array.from(ids, (id) => set.state[id]) : new Uint8Array(ids.length);
  const sums = withSums ? addUp(from, to, state, ids.length) : null;
  return { from, to, state, sums, ids, low: 0, high: ids.length };
}

function threadTrack(trace, thread) {
  const { from, to, state, sums } = trace.intervals;
  return { from, to, state, sums, ids: null, low: thread.first, high: thread.first + thread.size };
}

function workerTracks(trace) {
  const set = trace.intervals;
  const runs = selectIds(set.size, (i) => set.state[i] === RUN && set.worker[i] >= 0 && set.worker[i] < trace.workers);
  return grouped(sortedByTime(runs, set.from), trace.workers, (i) => set.worker[i]).map((ids) => trackOf(ids, set, true));
}

/* Blocked intervals by who ended them, each list in order of time: what a thread woke. */
function wakesByWaker(trace) {
  const set = trace.intervals;
  const woken = selectIds(set.size, (i) => set.waker[i] !== NOBODY);
  const lists = grouped(sortedByTime(woken, set.to), trace.threads.length, (i) => set.waker[i]);
  return lists.map((ids) => ({ ids, time: Float64Array.from(ids, (i) => set.to[i]) }));
}

/* For each thread and depth one track of spans; spans of one depth do not overlap. */
function spanTracks(trace) {
  const set = trace.spans, tracks = new Map();
  const order = sortedByTime(selectIds(set.size, () => true), set.from);
  for (const id of order) {
    const key = set.thread[id] * 65536 + set.depth[id];
    if (!tracks.has(key)) tracks.set(key, { thread: set.thread[id], depth: set.depth[id], list: [] });
    tracks.get(key).list.push(id);
  }
  return [...tracks.values()]
    .sort((a, b) => a.thread - b.thread || a.depth - b.depth)
    .map(({ thread, depth, list }) => ({ thread, depth, track: trackOf(Uint32Array.from(list), set, true) }));
}

const BLOCK = 64; /* samples whose least and largest value are kept */

function counterTrack(ids, set) {
  const time = Float64Array.from(ids, (i) => set.time[i]), value = Float64Array.from(ids, (i) => set.value[i]);
  const blocks = Math.ceil(ids.length / BLOCK);
  const least = new Float64Array(blocks).fill(Infinity), most = new Float64Array(blocks).fill(-Infinity);
  for (let i = 0; i < ids.length; i++) {
    const b = Math.floor(i / BLOCK);
    least[b] = Math.min(least[b], value[i]);
    most[b] = Math.max(most[b], value[i]);
  }
  const bottom = least.reduce((a, b) => Math.min(a, b), 0), top = most.reduce((a, b) => Math.max(a, b), -Infinity);
  return { ids, time, value, least, most, bottom, top };
}

function counterTracks(trace) {
  const set = trace.samples;
  const order = sortedByTime(selectIds(set.size, () => true), set.time);
  const lists = grouped(order, trace.strings.length, (i) => set.name[i]);
  return lists.map((ids, name) => ({ name, ids })).filter(({ ids }) => ids.length)
    .map(({ name, ids }) => ({ name, track: counterTrack(ids, set) }));
}

/* The least and the largest of value[low..high). */
function extremes(track, low, high) {
  let least = Infinity, most = -Infinity;
  for (let i = low; i < high;) {
    const b = Math.floor(i / BLOCK);
    const whole = i % BLOCK === 0 && i + BLOCK <= high;
    least = Math.min(least, whole ? track.least[b] : track.value[i]);
    most = Math.max(most, whole ? track.most[b] : track.value[i]);
    i += whole ? BLOCK : 1;
  }
  return [least, most];
}
