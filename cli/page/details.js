/* The first of the pages beneath the lanes: what was chosen. */

function list(rows) {
  return make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function button(text, act) {
  return make("button", { type: "button", onclick: act }, text);
}

class Details {
  constructor(trace, words, lanes, actions) {
    Object.assign(this, { trace, words, lanes, actions });
    this.node = make("div", { class: "details", tabindex: "-1" });
    this.show(null, null, null);
  }

  show(thing, thread, range) {
    const parts = range ? this.ofRange(range) : thing ? this.ofThing(thing) : thread !== NOBODY && thread !== null ? this.ofThread(thread) : this.ofTrace();
    this.node.replaceChildren(...parts);
  }

  ofTrace() {
    const { trace } = this, began = new Date(trace.wall);
    const rows = [
      ["trace", clean(trace.file)], ["program", `process ${trace.pid}`],
      ["began", Number.isNaN(began.getTime()) ? "–" : began.toLocaleString()], ["lasted", duration(trace.duration)],
      ["events", `${count(trace.events)}${trace.lost ? `, ${count(trace.lost)} more were lost` : ""}`],
    ];
    if (trace.flight) rows.push(["kind", "flight recorder: the program began earlier"]);
    if (trace.cut) rows.push(["end", "the file has none: the program was killed, or still ran"]);
    const busy = [0, 0, 0, 0];
    for (const thread of trace.threads) thread.total.forEach((time, s) => (busy[s] += time));
    const all = busy.reduce((a, b) => a + b, 0);
    const states = STATES.map((name, s) => [name, `${percent(busy[s], all)} of the threads' time`]);
    return [make("h2", {}, "The whole trace"), make("div", { class: "columns" }, list(rows), list(states)),
      make("p", { class: "empty" }, "Choose a bar for more of it.")];
  }

  ofThing(thing) {
    const { title, rows } = this.words.thing(thing);
    const columns = [list(rows)];
    const { actions, trace } = this;
    const buttons = [button("Zoom to it", () => actions.zoomTo(thing))];
    if (thing.kind === "interval") {
      const wait = this.words.waitOf(thing.index), waker = wait === NOBODY ? NOBODY : trace.intervals.waker[wait];
      if (waker !== NOBODY) buttons.push(button("Go to who woke it", () => actions.goToWaker(wait)));
      const object = trace.intervals.object[thing.index];
      if (object !== NOBODY) buttons.push(button("Show what it waited for", () => actions.showObject(object)));
      columns.push(list(this.threadRows(trace.intervals.thread[thing.index])));
    }
    return [make("h2", {}, title), make("div", { class: "columns" }, ...columns), make("div", { class: "buttons" }, ...buttons)];
  }

  threadRows(index) {
    const thread = this.trace.threads[index], { total, switches } = thread;
    const lived = thread.ended - thread.born;
    return [
      ["thread", clean(thread.name)], ["number", thread.id],
      ["made by", thread.creator === NOBODY ? "not known" : this.words.thread(thread.creator)],
      ["lived", duration(lived) + (thread.bornBefore ? ", born before" : "") + (thread.livesOn ? ", lives on" : "")],
      ...STATES.map((name, s) => [name, `${duration(total[s])}, ${percent(total[s], lived)}`]),
      ["runs", `${count(thread.runs)}: ${count(switches[1])} yielded, ${count(switches[2])} preempted, ${count(switches[3])} parked, ${count(switches[4])} in calls`],
    ];
  }

  ofThread(index) {
    return [make("h2", {}, this.words.thread(index)), list(this.threadRows(index))];
  }

  /* Of a stretch of time: how busy each worker was, and who ran most. */
  ofRange({ from, to }) {
    const lanes = this.lanes.list.filter((lane) => lane.kind === "worker");
    const workers = lanes.map((lane) => [lane.label, `${percent(this.within(lane.track, from, to)[RUN], 1)} busy`]);
    const threads = this.trace.threads.map((thread) => ({ thread, parts: this.within(threadTrack(this.trace, thread), from, to) }));
    const most = threads.filter(({ parts }) => parts[RUN] > 0).sort((a, b) => b.parts[RUN] - a.parts[RUN]).slice(0, 8);
    const rows = most.map(({ thread, parts }) => [clean(thread.name), `ran ${duration(parts[RUN] * (to - from))}, ${percent(parts[RUN], 1)}`]);
    return [make("h2", {}, `${duration(to - from)} from ${moment(from, Math.max(1, (to - from) / 100))}`),
      make("div", { class: "columns" }, list(workers), list(rows)),
      make("div", { class: "buttons" }, button("Zoom to it", () => this.actions.zoomRange()))];
  }

  within(track, from, to) {
    const i = above(track.to, from, track.low, track.high), j = above(track.to, to, i, track.high);
    shareOut(track, i, j, from, to);
    return [...shares];
  }
}
