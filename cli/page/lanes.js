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

function place(lanes) {
  let y = 0;
  for (const lane of lanes) {
    lane.y = y;
    lane.height = HEIGHTS[lane.kind];
    y += lane.height;
  }
  return y;
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
  const height = place(lanes);
  const ofThread = new Int32Array(trace.threads.length);
  lanes.forEach((lane, i) => {
    if (lane.kind === "thread") ofThread[lane.thread] = i;
  });
  return { list: lanes, height, ofThread, tops: Float64Array.from(lanes, (lane) => lane.y) };
}

/* The lane at a height, or the last one above it. */
function laneAt(lanes, y) {
  return Math.max(0, above(lanes.tops, y, 0, lanes.list.length) - 1);
}
