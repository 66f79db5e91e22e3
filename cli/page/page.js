/* The page: reads the trace, then answers to pointer, keys and buttons. Each change asks for one frame. */

class Page {
  constructor(trace) {
    this.trace = trace;
    this.words = new Words(trace);
    this.lanes = layOut(trace);
    this.view = new View(trace.duration);
    this.search = new Search(trace);
    this.state = { pointer: null, range: null, thread: NOBODY, selected: null, hovered: null, arrows: true, path: false, pathTracks: null,
      pathSteps: trace.path, found: this.search.threads };
    this.painter = new Painter(trace, this.lanes, this.words, this.view);
    this.frames = { asked: false, last: 0 };
  }

  start() {
    this.writeHead();
    this.listen();
    byId("nothing").hidden = this.trace.threads.length > 0;
    this.resize();
    this.view.whole();
    new ResizeObserver(() => this.resize()).observe(byId("scroller"));
    this.details = new Details(this.trace, this.words, this.lanes, this);
    this.makeTabs();
  }

  /* ---- Frames ---- */

  invalidate() {
    if (this.frames.asked) return;
    this.frames.asked = true;
    requestAnimationFrame(() => this.frame());
  }

  frame() {
    this.frames.asked = false;
    const began = performance.now();
    this.view.top = byId("scroller").scrollTop;
    this.painter.paint(this.state);
    this.frames.last = performance.now() - began;
  }

  resize() {
    const scroller = byId("scroller");
    place(this.lanes, scroller.clientHeight);
    this.view.content = this.lanes.height;
    byId("spacer").style.height = `${this.lanes.height}px`;
    this.view.resize(scroller.clientWidth - GUTTER, scroller.clientHeight);
    byId("lanes").style.height = `${scroller.clientHeight}px`;
    for (const id of ["overview", "ruler"]) byId(id).style.width = `${scroller.clientWidth}px`;
    this.invalidate();
  }

  /* ---- Moving ---- */

  /* Goes there in a few frames, so that the eye can follow. */
  glide(from, scale) {
    const { view } = this, start = performance.now(), was = { from: view.from, scale: view.scale };
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const run = (this.gliding = {});
    const step = (now) => {
      if (this.gliding !== run) return;
      const part = still ? 1 : Math.min(1, Math.max(0, now - start) / 160), eased = 1 - (1 - part) ** 3;
      view.scale = was.scale * (scale / was.scale) ** eased;
      const share = scale === was.scale ? eased : (view.scale - was.scale) / (scale - was.scale);
      view.from = was.from + (from - was.from) * share;
      if (part === 1) [view.from, view.scale] = [from, scale]; /* to the last digit, from wherever it began */
      view.clamp();
      this.invalidate();
      if (part < 1) requestAnimationFrame(step);
      else this.gliding = null;
    };
    requestAnimationFrame(step);
  }

  show(from, to, margin = 0.1) {
    const length = Math.max(to - from, 1) * (1 + 2 * margin);
    this.glide((from + to - length) / 2, length / this.view.width);
  }

  zoom(factor, x) {
    this.gliding = null;
    this.view.zoom(factor, x);
    this.invalidate();
  }

  move(pixels) {
    this.gliding = null;
    this.view.move(pixels);
    this.invalidate();
  }

  scroll(pixels) {
    byId("scroller").scrollTop += pixels;
    this.invalidate();
  }

  whole() {
    this.glide(-8 * (Math.max(this.trace.duration, 100) / (this.view.width - 16)), Math.max(this.trace.duration, 100) / (this.view.width - 16));
  }

  /* Brings a lane into sight. */
  reveal(lane) {
    const { view } = this, scroller = byId("scroller");
    if (lane && (lane.y < view.top + 10 || lane.y + lane.height > view.top + view.height - 10))
      scroller.scrollTop = lane.y - view.height / 2;
    this.view.top = scroller.scrollTop;
    this.invalidate();
  }

  /* ---- Choosing ---- */

  threadOf({ kind, index }) {
    if (kind === "interval") return this.trace.intervals.thread[index];
    if (kind === "span") return this.trace.spans.thread[index];
    return kind === "mark" ? this.trace.marks.thread[index] : NOBODY;
  }

  select(thing, quiet) {
    this.state.range = null;
    this.state.selected = thing && { kind: thing.kind, index: thing.index };
    this.state.thread = thing ? this.threadOf(thing) : NOBODY;
    this.tell(quiet);
  }

  selectThread(index, quiet) {
    this.state.range = this.state.selected = null;
    this.state.thread = index;
    this.tell(quiet);
  }

  /* Says what is chosen: in the details, in the table of threads, and to a screen reader. */
  tell(quiet) {
    const { selected, thread, range } = this.state;
    this.details.show(selected, thread, range);
    if (!quiet && (selected || range || thread !== NOBODY)) this.openTab("details");
    if (this.tables.threads) this.tables.threads.mark(thread === NOBODY ? null : this.trace.threads[thread]);
    byId("spoken").textContent = selected ? this.words.line(selected) : thread !== NOBODY ? this.words.thread(thread) : "";
    this.invalidate();
  }

  /* Selects a thing and brings it into sight, closer if it would be too small to see. */
  goTo(thing, quiet) {
    const [from, to] = timesOf(this.trace, thing), { view } = this;
    this.select(thing, quiet);
    this.reveal(this.painter.lanesOf(thing)[0]);
    const pixels = (to - from) / view.scale, seen = from >= view.from && to <= view.from + view.scale * view.width;
    if (!seen || pixels < 3) this.glideAround(from, to);
  }

  glideAround(from, to) {
    const { view } = this, length = to - from;
    const scale = length / view.scale < 3 && length > 0 ? length / 60 : Math.max(view.scale, (1.25 * length) / view.width);
    this.glide((from + to) / 2 - (scale * view.width) / 2, scale);
  }

  zoomTo(thing) {
    const [from, to] = timesOf(this.trace, thing);
    this.reveal(this.painter.lanesOf(thing)[0]);
    if (to > from) this.show(from, to);
    else this.glideAround(from, to);
  }

  zoomRange() {
    const { range } = this.state;
    if (range) this.show(range.from, range.to, 0);
  }

  goToThread(index, quiet) {
    this.selectThread(index, quiet);
    this.reveal(this.lanes.list[this.lanes.ofThread[index]]);
  }

  /* What the waker did at the moment when it ended that wait. */
  goToWaker(wait) {
    const { waker, to } = this.trace.intervals, thread = this.trace.threads[waker[wait]];
    const i = positionAt(threadTrack(this.trace, thread), to[wait] - 0.5, Infinity);
    if (i === NOBODY) this.goToThread(thread.index);
    else this.goTo({ kind: "interval", index: i });
  }

  /* The longest wait for an object. */
  goToObject(index, quiet) {
    const { size, state, object, from, to } = this.trace.intervals;
    let best = NOBODY;
    for (let i = 0; i < size; i++)
      if (object[i] === index && state[i] === BLOCKED && (best === NOBODY || to[i] - from[i] > to[best] - from[best])) best = i;
    if (best !== NOBODY) this.goTo({ kind: "interval", index: best }, quiet);
  }

  showObject(index) {
    this.openTab("locks");
    this.tables.locks.mark(this.trace.objects[index]);
  }

  neighbour(by) {
    const { selected } = this.state;
    if (!selected || selected.kind === "sample") return this.goToFirst();
    const [lane] = this.painter.lanesOf(selected);
    const ids = lane.track.ids, at = (ids ? ids.indexOf(selected.index) : selected.index) + by;
    const low = lane.track.low || 0, high = lane.track.high || ids.length;
    if (at >= low && at < high) this.goTo({ kind: selected.kind, index: ids ? ids[at] : at });
  }

  goToFirst() {
    const { threads } = this.trace, thread = threads[Math.max(0, this.state.thread)];
    const i = thread && thread.size ? positionAt(threadTrack(this.trace, thread), this.view.from + (this.view.width * this.view.scale) / 2, Infinity) : NOBODY;
    if (i !== NOBODY) this.goTo({ kind: "interval", index: i });
  }

  clear() {
    this.state.range = null;
    this.select(null, true);
  }

  /* ---- Switches ---- */

  toggle(name) {
    const on = (this.state[name] = !this.state[name]);
    byId(name).setAttribute("aria-pressed", String(on));
    if (name === "path") {
      this.state.pathTracks ||= pathTracks(this.trace, this.lanes);
      if (on) this.openTab("critical");
    }
    this.invalidate();
  }

  setTheme(dark) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    byId("theme").textContent = dark ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
    this.painter.restyle();
    this.invalidate();
  }

  switchTheme() {
    this.themeChosen = true;
    this.setTheme(document.documentElement.dataset.theme !== "dark");
  }

  /* ---- Search ---- */

  find() {
    this.search.find(byId("search").value);
    this.state.found = this.search.threads;
    this.showFound();
  }

  showFound() {
    const none = this.search.items.length === 0;
    byId("found").textContent = this.search.status(byId("search").value);
    byId("previous").disabled = byId("next").disabled = none;
    this.invalidate();
  }

  stepFound(by) {
    const item = this.search.step(by);
    if (item) this.visit(item, true);
    this.showFound();
  }

  visit(item, quiet) {
    if (item.kind === "thread") this.goToThread(item.index, quiet);
    else if (item.kind === "object") this.goToObject(item.index, quiet);
    else this.goTo(item, quiet);
  }
}
