/* Tables beneath the lanes: sortable, and of any length, for only the rows in sight are in the document. */

const ROW = 26; /* pixels, as in the style */

/* A column: title, get(row), and how it reads: "text", "count" or "time". All times share a unit, so that they compare and align. */
class Table {
  constructor({ label, columns, rows, sort, chosen, empty }) {
    Object.assign(this, { label, columns, chosen, rows: [...rows], sorted: sort, descending: true, selected: null });
    this.node = make("div", { tabindex: "-1" });
    if (!rows.length) {
      this.node.append(make("p", { class: "empty" }, empty));
      return;
    }
    const times = columns.filter((column) => column.kind === "time");
    const longest = rows.reduce((most, row) => times.reduce((longer, { get }) => Math.max(longer, get(row)), most), 0);
    this.unit = UNITS[unitOf(longest / 20)];
    this.body = make("tbody");
    this.heads = columns.map((column, i) => this.head(column, i));
    const table = make("table", { "aria-label": label, "aria-rowcount": rows.length + 1 }, make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    this.node.append(table);
    this.node.addEventListener("scroll", () => this.draw());
    this.node.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.node);
    this.sort(columns.findIndex((column) => column.title === sort), true);
  }

  head(column, i) {
    const unit = column.kind === "time" ? ` (${this.unit[0]})` : "";
    const button = make("button", { type: "button", onclick: () => this.sort(i, this.sorted === i ? !this.descending : column.kind !== "text") });
    button.append(column.title + unit);
    return make("th", { scope: "col", class: column.kind === "text" ? undefined : "number", title: column.hint }, button);
  }

  sort(i, descending) {
    this.sorted = i;
    this.descending = descending;
    const { get, kind } = this.columns[i], sign = descending ? -1 : 1;
    const order = kind === "text" ? (a, b) => sign * get(a).localeCompare(get(b), "en", { numeric: true }) : (a, b) => sign * (get(a) - get(b));
    this.rows.sort(order);
    this.heads.forEach((head, at) => {
      const button = head.firstChild, base = button.textContent.replace(/ [▲▼]$/, "");
      button.textContent = at === i ? `${base} ${descending ? "▼" : "▲"}` : base;
      if (at === i) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.node.scrollTop = 0;
    this.draw(true);
  }

  cell(column, row) {
    const value = column.get(row);
    if (column.kind === "text") return make("td", { title: value.length > 40 ? value : undefined }, value);
    if (value === 0 || value === undefined) return make("td", { class: "number" }, "–");
    const text = column.kind === "time" ? this.time(value, this.unit) : count(value);
    return make("td", { class: "number" }, text);
  }

  time(ns, [, scale]) {
    return scale === 1 ? count(ns) : (ns / scale).toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  }

  row(at) {
    const row = this.rows[at];
    const node = make("tr", { tabindex: "0", "aria-rowindex": at + 2, "aria-selected": String(row === this.selected), "data-at": at });
    node.append(...this.columns.map((column) => this.cell(column, row)));
    node.addEventListener("click", () => this.choose(at));
    return node;
  }

  filler(rows) {
    if (rows <= 0) return [];
    const cell = make("td", { colspan: this.columns.length });
    cell.style.height = `${rows * ROW}px`;
    return [make("tr", { class: "filler", "aria-hidden": "true" }, cell)];
  }

  draw(anew) {
    if (!this.body) return;
    const height = this.node.clientHeight || 400;
    let first = Math.max(0, Math.floor(this.node.scrollTop / ROW) - 12);
    first -= first % 2; /* stripes stay with their rows */
    const last = Math.min(this.rows.length, first + Math.ceil(height / ROW) + 26);
    if (!anew && first === this.first && last === this.last) return;
    const focused = this.body.contains(document.activeElement) ? Number(document.activeElement.dataset.at) : NOBODY;
    this.first = first;
    this.last = last;
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.row(at));
    this.body.replaceChildren(...this.filler(first), ...rows, ...this.filler(this.rows.length - last));
    if (focused >= first && focused < last) this.focus(focused);
  }

  focus(at) {
    const node = this.body.querySelector(`[data-at="${at}"]`);
    if (node) node.focus({ preventScroll: true });
  }

  choose(at) {
    this.selected = this.rows[at];
    this.draw(true);
    this.focus(at);
    this.chosen(this.selected);
  }

  /* Selects without telling: something else was what chose. */
  mark(row) {
    if (!this.body || this.selected === row) return;
    this.selected = row;
    const at = this.rows.indexOf(row), top = at * ROW;
    const inSight = top >= this.node.scrollTop && top + 2 * ROW < this.node.scrollTop + this.node.clientHeight;
    if (at >= 0 && this.node.clientHeight && !inSight) this.node.scrollTop = Math.max(0, top - this.node.clientHeight / 2);
    this.draw(true);
  }

  key(event) {
    const at = Number(event.target.dataset && event.target.dataset.at);
    if (Number.isNaN(at) || event.target.dataset.at === undefined) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(at);
    else if (step === undefined || at + step < 0 || at + step >= this.rows.length) return;
    else this.step(at + step);
    event.preventDefault();
    event.stopPropagation();
  }

  step(at) {
    const top = at * ROW, { scrollTop, clientHeight } = this.node;
    if (top < scrollTop) this.node.scrollTop = top;
    if (top + 3 * ROW > scrollTop + clientHeight) this.node.scrollTop = top + 3 * ROW - clientHeight;
    this.draw();
    this.focus(at);
  }
}

/* ---- What is in them -------------------------------------------------------------------------------------------------- */

/* For each thread what it waited for longest: {words, time}. */
function mainWaits(trace, words) {
  const { from, to, state, object, what } = trace.intervals, sums = new Map();
  return trace.threads.map(({ first, size }) => {
    sums.clear();
    let best = NOBODY, most = 0;
    for (let i = first; i < first + size; i++) {
      if (state[i] !== BLOCKED) continue;
      const key = object[i] === NOBODY ? -1 - what[i] : object[i];
      const sum = (sums.get(key) || 0) + to[i] - from[i];
      sums.set(key, sum);
      if (sum > most) [best, most] = [i, sum];
    }
    return best === NOBODY ? { words: "", time: 0 } : { words: words.waitsFor(best), time: most };
  });
}

function threadTable(trace, words, chosen) {
  const waits = mainWaits(trace, words);
  const total = (s) => (t) => t.total[s];
  const columns = [
    { title: "thread", kind: "text", get: (t) => clean(t.name) },
    { title: "lived", kind: "time", get: (t) => t.ended - t.born },
    { title: "running", kind: "time", get: total(RUN) },
    { title: "ready", kind: "time", get: total(READY), hint: "It wanted a worker and had none" },
    { title: "waiting", kind: "time", get: total(BLOCKED) },
    { title: "mostly on", kind: "text", get: (t) => waits[t.index].words },
    { title: "for", kind: "time", get: (t) => waits[t.index].time, hint: "Waited for what the column before says" },
    { title: "in calls", kind: "time", get: total(CALL), hint: "In calls that block, its worker given to others" },
    { title: "runs", kind: "count", get: (t) => t.runs },
    { title: "yields", kind: "count", get: (t) => t.switches[1] },
    { title: "preempted", kind: "count", get: (t) => t.switches[2] },
    { title: "parks", kind: "count", get: (t) => t.switches[3] },
    { title: "calls", kind: "count", get: (t) => t.switches[4] },
    { title: "made by", kind: "text", get: (t) => (t.creator === NOBODY ? "" : words.thread(t.creator)) },
  ];
  return new Table({ label: "Threads", columns, rows: trace.threads, sort: "running", chosen, empty: "No thread was seen." });
}

function lockTable(trace, words, chosen) {
  const name = (thread) => (thread === NOBODY ? "" : words.thread(thread));
  const columns = [
    { title: "object", kind: "text", get: (o) => clean(o.name) },
    { title: "waits", kind: "count", get: (o) => o.waits },
    { title: "waited", kind: "time", get: (o) => o.waited, hint: "By all threads together" },
    { title: "mean", kind: "time", get: (o) => (o.waits ? o.waited / o.waits : 0) },
    { title: "longest", kind: "time", get: (o) => o.longest },
    { title: "longest by", kind: "text", get: (o) => name(o.longestBy) },
    { title: "most by", kind: "text", get: (o) => name(o.mostBy), hint: "The thread that waited most in all" },
    { title: "acquired", kind: "count", get: (o) => o.acquired },
    { title: "held", kind: "time", get: (o) => o.held },
    { title: "held longest", kind: "time", get: (o) => o.longestHeld },
    { title: "holder at the end", kind: "text", get: (o) => name(o.holder) },
    { title: "address", kind: "text", get: (o) => o.address },
  ];
  return new Table({ label: "Locks and other objects that threads waited for", columns, rows: trace.objects, sort: "waited", chosen,
    empty: "No thread waited for an object." });
}

function pathTable(trace, words, chosen) {
  const { path, intervals } = trace;
  const rows = Array.from({ length: path.size }, (_, index) => index);
  const columns = [
    { title: "from", kind: "time", get: (i) => path.from[i] },
    { title: "for", kind: "time", get: (i) => path.to[i] - path.from[i] },
    { title: "share", kind: "count", get: (i) => Math.round((1000 * (path.to[i] - path.from[i])) / trace.duration) / 10, hint: "Of the whole trace, in per cent" },
    { title: "thread", kind: "text", get: (i) => words.thread(intervals.thread[path.interval[i]]) },
    { title: "was", kind: "text", get: (i) => words.state(path.interval[i]) },
  ];
  return new Table({ label: "Critical path", columns, rows, sort: "for", chosen, empty: "No critical path: nothing ran to the end of the trace." });
}

/* One row for each name of spans. */
function spanRows(trace) {
  const { size, name, from, to } = trace.spans, rows = new Map();
  for (let i = 0; i < size; i++) {
    const length = to[i] - from[i];
    if (!rows.has(name[i])) rows.set(name[i], { name: name[i], times: 0, total: 0, longest: -1, at: i });
    const row = rows.get(name[i]);
    row.times++;
    row.total += length;
    if (length > row.longest) [row.longest, row.at] = [length, i];
  }
  return [...rows.values()];
}

function spanTable(trace, words, chosen) {
  const columns = [
    { title: "span", kind: "text", get: (s) => words.string(s.name) },
    { title: "times", kind: "count", get: (s) => s.times },
    { title: "total", kind: "time", get: (s) => s.total },
    { title: "mean", kind: "time", get: (s) => s.total / s.times },
    { title: "longest", kind: "time", get: (s) => s.longest },
    { title: "longest by", kind: "text", get: (s) => words.thread(trace.spans.thread[s.at]) },
  ];
  return new Table({ label: "Spans", columns, rows: spanRows(trace), sort: "total", chosen, empty: "The program marks no spans." });
}
