/* Finding by name: threads, objects, counters, marks, and each span of that name, in this order. */

const MOST_FOUND = 5000; /* spans and marks; more would not be stepped through */

class Search {
  constructor(trace) {
    this.trace = trace;
    this.clear();
    this.lower = null; /* made when first needed */
  }

  clear() {
    this.items = [];
    this.at = -1;
    this.threads = new Set();
    this.more = false;
  }

  names() {
    const { strings, threads, objects } = this.trace;
    this.lower ||= {
      strings: strings.map((text) => text.toLowerCase()),
      threads: threads.map((thread) => `${thread.name.toLowerCase()} #${thread.id}`),
      objects: objects.map((object) => `${object.name} ${object.address}`.toLowerCase()),
    };
    return this.lower;
  }

  /* Those of a set whose name is among `matching` strings. */
  addNamed(kind, set, matching) {
    for (let i = 0; i < set.size; i++) {
      if (!matching[set.name[i]]) continue;
      if (this.items.length >= MOST_FOUND) {
        this.more = true;
        return;
      }
      this.items.push({ kind, index: i });
    }
  }

  find(text) {
    this.clear();
    const wanted = text.trim().toLowerCase();
    if (!wanted) return;
    const names = this.names();
    const add = (kind) => (name, index) => {
      if (name.includes(wanted)) this.items.push({ kind, index });
    };
    names.threads.forEach(add("thread"));
    this.items.forEach(({ index }) => this.threads.add(index));
    names.objects.forEach(add("object"));
    const matching = names.strings.map((name) => name.includes(wanted));
    const counters = new Set(this.trace.samples.name);
    for (const name of counters) if (matching[name]) this.items.push({ kind: "sample", index: this.trace.samples.name.indexOf(name) });
    this.addNamed("mark", this.trace.marks, matching);
    this.addNamed("span", this.trace.spans, matching);
  }

  step(by) {
    if (!this.items.length) return null;
    this.at = this.at < 0 ? (by > 0 ? 0 : this.items.length - 1) : (this.at + by + this.items.length) % this.items.length;
    return this.items[this.at];
  }

  status(text) {
    if (!text.trim()) return "";
    if (!this.items.length) return "none";
    const total = count(this.items.length) + (this.more ? "+" : "");
    return this.at < 0 ? `${total} found` : `${count(this.at + 1)} of ${total}`;
  }

  /* What a sentence speaks of: the thread or object with the longest name in it; null. */
  mentioned(sentence) {
    let best = null, longest = 0;
    const consider = (kind) => ({ name }, index) => {
      if (name.length > longest && sentence.includes(name)) [best, longest] = [{ kind, index }, name.length];
    };
    this.trace.threads.forEach(consider("thread"));
    this.trace.objects.forEach(consider("object"));
    return best;
  }
}
