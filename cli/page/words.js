/* What things are, in words: for tooltips, details and screen readers. Each gives {title, rows: [[name, value]...]}. */

class Words {
  constructor(trace) {
    this.trace = trace;
  }

  thread(index) {
    return index === NOBODY ? "nobody known" : clean(this.trace.threads[index].name);
  }

  string(number) {
    return clean(this.trace.strings[number] || "");
  }

  worker(number) {
    return number === NOBODY ? "a kernel thread of its own" : `worker ${number}`;
  }

  waitsFor(i) {
    const { object, what } = this.trace.intervals;
    if (object[i] !== NOBODY) return clean(this.trace.objects[object[i]].name);
    return this.string(what[i]) || "something";
  }

  /* In a word or two, for a bar. */
  label(i) {
    const { state, worker } = this.trace.intervals;
    if (state[i] === RUN) return worker[i] === NOBODY ? "running" : `worker ${worker[i]}`;
    return state[i] === BLOCKED ? this.waitsFor(i) : STATES[state[i]];
  }

  state(i) {
    const { state, worker } = this.trace.intervals;
    if (state[i] === RUN) return `running on ${this.worker(worker[i])}`;
    if (state[i] === READY) return "ready: it wants a worker";
    return state[i] === CALL ? "in a call that blocks, its worker given to others" : `waiting for ${this.waitsFor(i)}`;
  }

  /* The interval before i without a gap between them, of the same thread; NOBODY. */
  before(i) {
    const { from, to, thread } = this.trace.intervals;
    return i > 0 && thread[i - 1] === thread[i] && to[i - 1] === from[i] ? i - 1 : NOBODY;
  }

  /* The wait that led to i: i itself, or the one before the ready times before it; NOBODY. */
  waitOf(i) {
    const { state } = this.trace.intervals;
    if (state[i] === RUN) i = this.before(i);
    while (i !== NOBODY && state[i] === READY) i = this.before(i);
    return i !== NOBODY && state[i] === BLOCKED ? i : NOBODY;
  }

  ended(i) {
    const { state, reason } = this.trace.intervals;
    if (state[i] === RUN) return [["ended because", REASONS[reason[i]]]];
    if (state[i] === READY) return reason[i] ? [["because", REASONS[reason[i]]]] : [];
    return [];
  }

  wokenBy(i) {
    const wait = this.waitOf(i);
    if (wait === NOBODY) return [];
    const waker = this.trace.intervals.waker[wait];
    return [["woken by", waker === NOBODY ? "a timer, a descriptor or a stranger" : this.thread(waker)]];
  }

  interval(i) {
    const { from, to, thread } = this.trace.intervals;
    const length = to[i] - from[i];
    const rows = [["state", this.state(i)], ["for", duration(length)], ["from", moment(from[i], Math.max(1, length / 100))]];
    return { title: this.thread(thread[i]), rows: [...rows, ...this.ended(i), ...this.wokenBy(i)] };
  }

  span(i) {
    const set = this.trace.spans;
    const rows = [["span of", this.thread(set.thread[i])], ["for", duration(set.to[i] - set.from[i]) + (set.open[i] ? ", not ended" : "")],
      ["from", moment(set.from[i], Math.max(1, (set.to[i] - set.from[i]) / 100))]];
    return { title: this.string(set.name[i]), rows };
  }

  mark(i) {
    const set = this.trace.marks;
    return { title: this.string(set.name[i]), rows: [["marked by", this.thread(set.thread[i])], ["at", moment(set.time[i], 1e3)]] };
  }

  sample(i) {
    const set = this.trace.samples;
    return { title: this.string(set.name[i]), rows: [["value", count(set.value[i])], ["since", moment(set.time[i], 1e3)]] };
  }

  /* Of a lane between two moments: shares of the states, where a pixel holds many intervals. */
  shares(title, track, from, to, many) {
    const i = above(track.to, from, track.low, track.high), j = aboveNear(track.to, to, i, track.high);
    shareOut(track, i, j, from, to);
    const rows = STATES.map((name, s) => [name, percent(shares[s], 1)]).filter((_, s) => shares[s] > 0);
    return { title, rows: [[`${count(j - i)} ${many}`, `in ${duration(to - from)}`], ...rows] };
  }

  thing(what) {
    return this[what.kind](what.index);
  }

  /* In one line, for a screen reader. */
  line(what) {
    const { title, rows } = this.thing(what);
    return [title, ...rows.map(([name, value]) => `${name} ${value}`)].join(", ");
  }
}
