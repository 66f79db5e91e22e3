/* How values read: times, counts, and names that may hold anything. Small helpers for the document. */

const NOBODY = -1;
const STATES = ["running", "ready", "waiting", "in a call"];
const RUN = 0, READY = 1, BLOCKED = 2, CALL = 3;
const REASONS = ["the trace ended", "it yielded", "it was preempted", "it parked", "it blocked in a call", "it ended"];

const UNITS = [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]];

function unitOf(ns) {
  const size = Math.abs(ns);
  return size < 1e3 ? 0 : size < 1e6 ? 1 : size < 1e9 ? 2 : 3;
}

/* Three or four digits that count: 850 ns, 12.3 µs, 4.56 ms. */
function duration(ns) {
  const [name, scale] = UNITS[unitOf(ns)];
  const value = ns / scale;
  const digits = scale === 1 ? 0 : Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return `${scale === 1e9 ? value.toFixed(Math.max(digits, 2)) : value.toFixed(digits)} ${name}`;
}

/* A moment, exact enough to tell apart those that lie `step` ns from each other. */
function moment(ns, step) {
  const [name, scale] = UNITS[Math.max(unitOf(ns), unitOf(step))];
  const digits = Math.max(0, Math.min(9, Math.ceil(Math.log10(scale / step) - 1e-9)));
  return `${(ns / scale).toFixed(digits)} ${name}`;
}

const groups = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const count = (n) => groups.format(n);
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + "s"}`;
const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(part < whole / 10 ? 1 : 0)} %` : "–");

/* Names come from the program that was traced: control and direction characters would spoil the line that they stand in. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const LONGEST_NAME = 200;
function clean(text) {
  const short = text.length > LONGEST_NAME ? text.slice(0, LONGEST_NAME) + "…" : text;
  return short.replace(UNSAFE, "\ufffd");
}

const byId = (id) => document.getElementById(id);

/* make("td", {class: "number", onclick: f}, "text", node...). Text is text: nothing of it is read as HTML. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/* The first position in sorted[low..high) whose value is above `value`. */
function above(sorted, value, low, high) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/* The same where the answer is expected near `low`: doubling steps first. */
function aboveNear(sorted, value, low, high) {
  let step = 1;
  while (low + step < high && sorted[low + step] <= value) {
    low += step;
    step *= 2;
  }
  return above(sorted, value, low, Math.min(high, low + step + 1));
}
