/* What surrounds the lanes: facts, warnings, tabs; and what listens to pointer, keys and buttons. Methods of Page. */

Object.assign(Page.prototype, {
  writeHead() {
    const { trace } = this, name = this.ownName();
    document.title = `${name} – thrum timeline`;
    byId("name").textContent = name;
    byId("facts").textContent = [duration(trace.duration), plural(trace.workers, "worker"), plural(trace.threads.length, "thread"),
      plural(trace.events, "event")].join(" · ");
    if (trace.lost) byId("facts").append(make("span", { class: "lost" }, `${plural(trace.lost, "event")} lost`));
    const warnings = trace.warnings.map((text) => make("button", { type: "button", onclick: () => this.visitWarning(text) }, clean(text)));
    byId("warnings").append(...warnings);
    byId("warnings").hidden = warnings.length === 0;
  },

  /* The trace's file; or this one, where that was a passing one without a name. */
  ownName() {
    const file = clean(this.trace.file).split("/").pop();
    if (file && !file.startsWith(".")) return file;
    try {
      return clean(decodeURIComponent(location.pathname)).split("/").pop() || "timeline";
    } catch {
      return "timeline"; /* a path that is no UTF-8 */
    }
  },

  visitWarning(text) {
    const item = this.search.mentioned(text);
    if (item) this.visit(item);
    else this.openTab("threads");
  },

  /* ---- Tabs ---- */

  makeTabs() {
    const { trace, words } = this;
    this.tables = {};
    this.tabs = {
      details: ["Details", NOBODY, () => ({ node: this.details.node })],
      threads: ["Threads", trace.threads.length, () => threadTable(trace, words, (t) => this.goToThread(t.index, true))],
      locks: ["Locks and waits", trace.objects.length, () => lockTable(trace, words, (o) => this.goToObject(o.index, true))],
      critical: ["Critical path", trace.path.size, () => pathTable(trace, words, (i) => this.visitStep(i))],
      spans: ["Spans", trace.spans.size, () => spanTable(trace, words, (s) => this.goTo({ kind: "span", index: s.at }, true))],
    };
    for (const [id, [title, n]] of Object.entries(this.tabs)) {
      const label = n === NOBODY ? [title] : [title + " ", make("span", { class: "n" }, count(n))];
      byId("tabs").append(make("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `page-${id}`, onclick: () => this.openTab(id) }, ...label));
    }
    byId("tabs").addEventListener("keydown", (event) => this.tabKey(event));
    this.openTab("threads");
  },

  /* A page is made when it is first opened. */
  openTab(id) {
    this.tables[id] ||= this.makePage(id);
    this.tab = id;
    for (const other of Object.keys(this.tabs)) {
      const tab = byId(`tab-${other}`), page = byId(`page-${other}`);
      tab.setAttribute("aria-selected", String(other === id));
      tab.tabIndex = other === id ? 0 : -1;
      if (page) page.hidden = other !== id;
    }
    if (this.tables[id].draw) this.tables[id].draw(true);
  },

  makePage(id) {
    const page = this.tabs[id][2]();
    page.node.id = `page-${id}`;
    page.node.setAttribute("role", "tabpanel");
    page.node.setAttribute("aria-labelledby", `tab-${id}`);
    byId("pages").append(page.node);
    return page;
  },

  tabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const ids = Object.keys(this.tabs), id = ids[(ids.indexOf(this.tab) + step + ids.length) % ids.length];
    this.openTab(id);
    byId(`tab-${id}`).focus();
    event.preventDefault();
    event.stopPropagation();
  },

  visitStep(i) {
    const { path } = this.trace;
    if (!this.state.path) this.toggle("path");
    this.goTo({ kind: "interval", index: path.interval[i] }, true);
    this.glideAround(path.from[i], path.to[i]);
  },

  /* ---- Pointer ---- */

  listen() {
    this.listenToLanes();
    this.listenToStrips();
    this.listenToButtons();
    document.addEventListener("keydown", (event) => this.key(event));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.setTheme(dark.matches);
    dark.addEventListener("change", () => this.themeChosen || this.setTheme(dark.matches));
  },

  place(event) {
    const box = byId("lanes").getBoundingClientRect();
    return { x: event.clientX - box.left - GUTTER, y: event.clientY - box.top + this.view.top, clientX: event.clientX, clientY: event.clientY };
  },

  hit({ x, y }) {
    const lane = this.lanes.list[laneAt(this.lanes, y)];
    if (!lane || y >= lane.y + lane.height) return { lane: null, thing: null };
    const time = this.view.from + x * this.view.scale;
    return { lane, time, thing: x < 0 ? null : thingAt(lane, time, this.view.scale) };
  },

  listenToLanes() {
    const lanes = byId("lanes"), scroller = byId("scroller");
    let last = null, ranging = false;
    onDrag(lanes, {
      begin: (event) => {
        last = event;
        ranging = event.shiftKey;
        this.gliding = null;
      },
      move: (event, dx) => {
        lanes.classList.add("moving");
        if (ranging) this.stretch(this.place(event).x, dx);
        else {
          this.move(last.clientX - event.clientX);
          this.scroll(last.clientY - event.clientY);
        }
        last = event;
      },
      end: (event, moved) => {
        lanes.classList.remove("moving");
        if (!moved) this.click(event);
        else if (ranging) this.tell();
      },
    });
    lanes.addEventListener("dblclick", (event) => {
      const { thing } = this.hit(this.place(event));
      if (thing) this.zoomTo(thing);
    });
    lanes.addEventListener("pointermove", (event) => this.hover(event));
    lanes.addEventListener("pointerleave", () => this.leave());
    lanes.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    scroller.addEventListener("scroll", () => this.invalidate());
  },

  click(event) {
    const { lane, thing } = this.hit(this.place(event));
    byId("scroller").focus({ preventScroll: true });
    if (thing) this.select(thing);
    else if (lane && lane.kind === "thread") this.selectThread(lane.thread);
    else this.clear();
  },

  /* Over the names a wheel scrolls, as anywhere; over the lanes it zooms about the pointer. */
  wheel(event) {
    const at = this.place(event), lines = event.deltaMode === 1 ? 16 : 1;
    if (at.x < 0) return;
    event.preventDefault();
    if (event.shiftKey) this.scroll((event.deltaY || event.deltaX) * lines);
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(event.deltaX * lines);
    else this.zoom(Math.exp(Math.max(-240, Math.min(240, event.deltaY * lines)) * 0.002), at.x);
    this.hover(event);
  },

  /* Chooses the time from where a drag began to where it is. */
  stretch(x, dx) {
    const { view, trace } = this;
    const [from, to] = [x - dx, x].sort((a, b) => a - b).map((at) => Math.max(0, Math.min(trace.duration, view.from + at * view.scale)));
    this.state.range = to > from ? { from, to } : null;
    this.state.selected = null;
    this.invalidate();
  },

  listenToStrips() {
    let from = 0;
    onDrag(byId("ruler"), {
      begin: (event) => (from = this.place(event).x),
      move: (event) => this.stretch(this.place(event).x, this.place(event).x - from),
      end: (event, moved) => {
        if (!moved) this.state.range = null;
        this.tell(!moved);
      },
    });
    const centre = (event) => {
      const { view, trace } = this;
      this.gliding = null;
      view.from = (this.place(event).x / view.width) * trace.duration - (view.width * view.scale) / 2;
      view.clamp();
      this.invalidate();
    };
    onDrag(byId("overview"), { begin: centre, move: centre });
    byId("overview").addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY * 0.002));
    }, { passive: false });
    this.listenToDivider();
  },

  listenToDivider() {
    const divider = byId("divider"), panel = byId("panel");
    const set = (height) => {
      const most = Math.max(80, window.innerHeight - 260);
      const chosen = Math.round(Math.max(0, Math.min(most, height)));
      panel.style.height = `${chosen}px`;
      divider.setAttribute("aria-valuenow", chosen);
      divider.setAttribute("aria-valuemax", Math.round(most));
    };
    let was = 0;
    onDrag(divider, { begin: () => (was = panel.offsetHeight), move: (_, dx, dy) => set(was - dy) });
    divider.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 24, ArrowDown: -24 }[event.key];
      if (!step) return;
      set(panel.offsetHeight + step);
      event.preventDefault();
      event.stopPropagation();
    });
    if (window.innerHeight < 700) set(window.innerHeight * 0.24);
  },

  /* ---- Tooltip ---- */

  hover(event) {
    const at = this.place(event);
    this.state.pointer = at.x >= 0 ? at : null;
    const { lane, time, thing } = event.buttons ? {} : this.hit(at);
    this.state.hovered = thing && thing.kind !== "sample" ? thing : null;
    this.showTip(at, this.tipText(lane, time, thing, at));
    this.invalidate();
  },

  tipText(lane, time, thing, at) {
    if (thing && thing.crowd > 3) {
      const start = this.view.from + Math.floor(at.x) * this.view.scale;
      return this.words.shares(lane.label || "spans", lane.track, start, start + this.view.scale, lane.kind === "span" ? "spans" : "changes");
    }
    if (thing) return this.words.thing(thing);
    return lane && at.x < 0 && lane.kind === "thread" ? { title: lane.label, rows: [] } : null;
  },

  showTip(at, text) {
    const tip = byId("tip");
    tip.hidden = !text;
    if (!text) return;
    tip.replaceChildren(make("strong", {}, text.title), list(text.rows));
    const { width, height } = tip.getBoundingClientRect();
    const left = at.clientX + 16 + width > window.innerWidth ? at.clientX - 12 - width : at.clientX + 16;
    const top = at.clientY + 18 + height > window.innerHeight ? at.clientY - 12 - height : at.clientY + 18;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  },

  leave() {
    this.state.pointer = this.state.hovered = null;
    byId("tip").hidden = true;
    this.invalidate();
  },

  /* ---- Keys and buttons ---- */

  listenToButtons() {
    const on = (id, act) => byId(id).addEventListener("click", act);
    on("theme", () => this.switchTheme());
    on("help-button", () => byId("help").showModal());
    on("arrows", () => this.toggle("arrows"));
    on("path", () => this.toggle("path"));
    on("in", () => this.zoomStep(0.5));
    on("out", () => this.zoomStep(2));
    on("whole", () => this.whole());
    on("next", () => this.stepFound(1));
    on("previous", () => this.stepFound(-1));
    byId("search").addEventListener("input", () => this.find());
    byId("finder").addEventListener("submit", (event) => event.preventDefault());
    byId("search").addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.stepFound(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") byId("scroller").focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  },

  zoomStep(factor) {
    const { view } = this, scale = view.scale * factor, middle = view.from + (view.width * view.scale) / 2;
    this.glide(middle - (scale * view.width) / 2, scale);
  },

  key(event) {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (target.matches("input, select, textarea")) return;
    if (byId("panel").contains(target) && /^(Arrow|Page|Home|End)/.test(event.key)) return;
    if (target.matches("button, [role=tab], summary") && (event.key === "Enter" || event.key === " ")) return;
    const act = this.keys()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  },

  keys() {
    const pan = this.view.width * 0.15;
    return {
      "+": () => this.zoomStep(0.6), "=": () => this.zoomStep(0.6), w: () => this.zoom(0.8), "-": () => this.zoomStep(1 / 0.6), s: () => this.zoom(1.25),
      ArrowLeft: () => this.move(-pan), a: () => this.move(-pan), ArrowRight: () => this.move(pan), d: () => this.move(pan),
      ArrowUp: () => this.scroll(-66), ArrowDown: () => this.scroll(66),
      PageUp: () => this.scroll(-0.9 * this.view.height), PageDown: () => this.scroll(0.9 * this.view.height),
      Home: () => this.scroll(-1e9), End: () => this.scroll(1e9), 0: () => this.whole(),
      Enter: () => (this.state.range ? this.zoomRange() : this.zoomChosen()), f: () => (this.state.range ? this.zoomRange() : this.zoomChosen()),
      "[": () => this.neighbour(-1), "]": () => this.neighbour(1), "/": () => byId("search").select(),
      n: (event) => this.stepFound(event.shiftKey ? -1 : 1), v: () => this.toggle("arrows"), c: () => this.toggle("path"), t: () => this.switchTheme(),
      "?": () => byId("help").showModal(), Escape: () => this.clear(),
    };
  },

  zoomChosen() {
    if (this.state.selected) this.zoomTo(this.state.selected);
  },
});

const page = new Page(readTrace());
page.start();
window.timeline = page; /* for scripts: what the tests drive */
