/* Which lanes there are, from top to bottom: workers, marks, counters, and threads with their spans beneath. Heights are CSS pixels. */

const HEIGHTS = { heading: 20, worker: 24, thread: 22, span: 17, counter: 32, marks: 20 };
const PADDING = { heading: 0, worker: 3, thread: 3, span: 2, counter: 4, marks: 3 };

function headingLane(label) {
  return { kind: "heading", label };
}

function threadLanes(trace, spans) {
  const lanes = [];
  let at = 0;
  for (const thread of trace.threads) {
    lanes.push({ kind: "thread", label: clean(thread.name), thread: thread.index, track: threadTrack(trace, thread) });
    for (; at < spans.length && spans[at].thread <= thread.index; at++)
      lanes.push({ kind: "span", label: "", thread: spans[at].thread, depth: spans[at].depth, track: spans[at].track });
  }
  return lanes;
}

const MOST_STRETCHED = 1.6;

/* Gives each lane its place. Few lanes are higher, as far as there is room. */
function place(lanes, room) {
  const least = lanes.list.reduce((sum, lane) => sum + HEIGHTS[lane.kind], 0);
  const factor = Math.max(1, Math.min(MOST_STRETCHED, room / least));
  let y = 0;
  lanes.list.forEach((lane, i) => {
    lane.y = lanes.tops[i] = y;
    lane.height = Math.floor(HEIGHTS[lane.kind] * (lane.kind === "heading" ? 1 : factor));
    y += lane.height;
  });
  lanes.height = y;
}

function layOut(trace) {
  const counters = counterTracks(trace).map(({ name, track }) => ({ kind: "counter", label: clean(trace.strings[name]), name, track }));
  const marks = sortedByTime(selectIds(trace.marks.size, () => true), trace.marks.time);
  const lanes = workerTracks(trace).map((track, worker) => ({ kind: "worker", label: `worker ${worker}`, worker, track }));
  if (lanes.length) lanes.unshift(headingLane("Workers"));
  if (marks.length || counters.length) lanes.push(headingLane(counters.length ? "Counters and marks" : "Marks"));
  if (marks.length) {
    const time = Float64Array.from(marks, (i) => trace.marks.time[i]);
    lanes.push({ kind: "marks", label: "marks", track: { ids: marks, time } });
  }
  lanes.push(...counters);
  if (trace.threads.length) lanes.push(headingLane("Threads"), ...threadLanes(trace, spanTracks(trace)));
  const ofThread = new Int32Array(trace.threads.length);
  lanes.forEach((lane, i) => {
    if (lane.kind === "thread") ofThread[lane.thread] = i;
  });
  const all = { list: lanes, ofThread, tops: new Float64Array(lanes.length), height: 0 };
  place(all, 0);
  return all;
}

/* The lane at a height, or the last one above it. */
function laneAt(lanes, y) {
  return Math.max(0, above(lanes.tops, y, 0, lanes.list.length) - 1);
}
