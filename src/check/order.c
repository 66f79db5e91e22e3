/* Each sequence of classes that a thread holds and then waits for is looked at once: its hash goes into a table, and what is found
 * there is not looked at again. A new one adds edges. An edge that is new, or has become worse, may close a cycle.
 *
 * One lock guards edges and searches; the table of hashes is read without it. Reports are printed outside, from copies. */
#include <check/class.h>
#include <check/held.h>
#include <check/order.h>
#include <core/fatal.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>

enum {
  EDGES_MAX = 1 << 16,
  EDGE_PLACES = 1 << 17,
  CHAIN_PLACES = 1 << 17,
  CHAIN_TRIES = 16,
  GATES = 4,
  DEPTH = 16,     /* the longest cycle that is reported */
  STEPS = 10000,  /* of one search: some 0.5 ms inside of the runtime */
  REPORTED = 256, /* cycles */
};

/* How an edge's locks lie in memory, in all that was seen of it. */
enum { UPWARD = 1, DOWNWARD = 2 };

struct edge {
  uint32_t from, to;
  uint32_t next;  /* that leaves the same class */
  uint32_t epoch; /* of the graph, when a cycle through it was last looked for */
  uint8_t ways;   /* UPWARD, DOWNWARD */
  uint8_t gates;  /* how many: classes of one lock that was held each time */
  uint32_t gate[GATES];
  uintptr_t from_site, to_site; /* of the first time */
  char thread[THRUM_NAME_MAX];
};

/* An edge as it is seen now. */
struct sight {
  const struct thrumi_held *held;
  const struct thrumi_acquire *a;
  uint32_t n, at; /* held, and which of them the edge leaves */
  uint32_t to;
  const char *thread;
};

static struct {
  struct thrumi_spin lock;
  struct edge *edges;   /* by number, 1 and up */
  uint32_t *edge_place; /* numbers, open addressing */
  uint32_t *queue;      /* of a search: classes */
  _Atomic(_Atomic uint64_t *) chains;
  uint32_t count, search, reported_count;
  uint64_t reported[REPORTED];
  _Atomic uint32_t epoch; /* chains that were seen before may mean more now */
  bool full, cut;         /* no room for an edge; a search ran out of steps */
} graph;

/* What a search found, for the report. */
struct circle {
  uint32_t count;
  struct edge of[DEPTH];
};

static uint64_t mix(uint64_t key) {
  key = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15);
  return key ^ key >> 29;
}

/* ---- Chains ----------------------------------------------------------------------------------------------------------- */

static bool is_upward(const void *from, const void *to) { return (uintptr_t)from < (uintptr_t)to; }

static uint64_t chain_of(const struct thrumi_acquire *a, uint32_t to, const struct thrumi_held *held,
                         uint32_t n) {
  uint64_t chain = mix((uint64_t)thrumi_load(&graph.epoch) << 32 | to);
  for (uint32_t i = 0; i < n; i++) {
    uint64_t ways = held[i].object == a->object ? 2 : is_upward(held[i].object, a->object);
    chain = mix(chain + ((uint64_t)held[i].klass << 8 | ways << 4 | held[i].hold));
  }
  return chain ? chain : 1;
}

/* Whether the chain was seen before; it is from here on, if there is room in its neighbourhood. */
static bool is_known(uint64_t chain) {
  _Atomic uint64_t *chains = thrumi_load(&graph.chains);
  for (uint32_t i = 0; chains && i < CHAIN_TRIES; i++) {
    _Atomic uint64_t *at = &chains[(chain + i) % CHAIN_PLACES];
    uint64_t there = thrumi_load_relaxed(at);
    if (there == chain) return true;
    if (!there && thrumi_cas(at, &there, chain)) return false;
    if (there == chain) return true;
  }
  return false;
}

/* ---- Edges ------------------------------------------------------------------------------------------------------------ */

static bool reserve_locked(void) {
  if (!graph.edges) graph.edges = thrumi_os.reserve((EDGES_MAX + 1) * sizeof *graph.edges);
  if (!graph.edge_place) graph.edge_place = thrumi_os.reserve(EDGE_PLACES * sizeof *graph.edge_place);
  if (!graph.queue) graph.queue = thrumi_os.reserve((THRUMI_CLASSES_MAX + 1) * sizeof *graph.queue);
  if (!thrumi_load(&graph.chains))
    thrumi_store(&graph.chains, thrumi_os.reserve(CHAIN_PLACES * sizeof(uint64_t)));
  return graph.edges && graph.edge_place && graph.queue;
}

/* Locks that exclude others from where this edge is seen, beside the two of it. */
static uint8_t gates_of(const struct sight *s, uint32_t gate[GATES]) {
  uint8_t n = 0;
  for (uint32_t i = 0; i < s->n && n < GATES; i++) {
    const struct thrumi_held *h = &s->held[i];
    bool other = h->klass && h->klass != s->held[s->at].klass && h->klass != s->to;
    if (other && h->hold != THRUMI_HOLD_READ && thrumi_class_is_single(h->klass)) gate[n++] = h->klass;
  }
  return n;
}

static bool has_gate(const struct edge *e, uint32_t class) {
  for (uint8_t i = 0; i < e->gates; i++)
    if (e->gate[i] == class) return true;
  return false;
}

/* True: fewer gates than before. */
static bool keep_common(struct edge *e, const uint32_t *gate, uint8_t n) {
  struct edge now = {.gates = n};
  memcpy(now.gate, gate, sizeof now.gate);
  uint8_t kept = 0;
  for (uint8_t i = 0; i < e->gates; i++)
    if (has_gate(&now, e->gate[i])) e->gate[kept++] = e->gate[i];
  bool fewer = kept < e->gates;
  e->gates = kept;
  return fewer;
}

static uint32_t *place_of(uint32_t from, uint32_t to) {
  for (uint64_t at = mix((uint64_t)from << 32 | to);; at++) {
    uint32_t *place = &graph.edge_place[at % EDGE_PLACES];
    if (!*place || (graph.edges[*place].from == from && graph.edges[*place].to == to)) return place;
  }
}

static void fill(struct edge *e, const struct sight *s) {
  const struct thrumi_held *from = &s->held[s->at];
  e->from = from->klass;
  e->to = s->to;
  e->from_site = from->site;
  e->to_site = s->a->site;
  e->gates = gates_of(s, e->gate);
  snprintf(e->thread, sizeof e->thread, "%s", s->thread);
  e->next = thrumi_class(e->from)->edges;
}

/* Adds what is seen. The edge, if that may close a cycle that was none before; 0: it does not, or there is no room. */
static uint32_t add_locked(const struct sight *s) {
  const struct thrumi_held *from = &s->held[s->at];
  uint8_t way = is_upward(from->object, s->a->object) ? UPWARD : DOWNWARD;
  uint32_t *place = place_of(from->klass, s->to), gate[GATES] = {0};
  if (*place) {
    struct edge *e = &graph.edges[*place];
    bool worse = !(e->ways & way);
    e->ways |= way;
    worse |= keep_common(e, gate, gates_of(s, gate));
    worse |= e->epoch != thrumi_load(&graph.epoch);
    e->epoch = thrumi_load(&graph.epoch);
    return worse ? *place : 0;
  }
  if (graph.count == EDGES_MAX) {
    graph.full = true;
    return 0;
  }
  uint32_t number = ++graph.count;
  fill(&graph.edges[number], s);
  graph.edges[number].ways = way;
  graph.edges[number].epoch = thrumi_load(&graph.epoch);
  thrumi_class(from->klass)->edges = number;
  return *place = number;
}

/* ---- Cycles ----------------------------------------------------------------------------------------------------------- */

/* Marks what can be reached from the class. True: the goal can. */
static bool reaches(uint32_t class, uint32_t goal) {
  uint32_t head = 0, tail = 0, search = ++graph.search;
  graph.queue[tail++] = class;
  thrumi_class(class)->visited = search;
  while (head < tail)
    for (uint32_t e = thrumi_class(graph.queue[head++])->edges; e; e = graph.edges[e].next) {
      struct thrumi_lock_class *to = thrumi_class(graph.edges[e].to);
      if (to->visited == search) continue;
      to->visited = search;
      graph.queue[tail++] = graph.edges[e].to;
    }
  return thrumi_class(goal)->visited == search;
}

/* Two threads cannot stand at both edges at once: one lock would be held by both. */
static bool exclude(const struct edge *a, const struct edge *b) {
  for (uint8_t i = 0; i < a->gates; i++) {
    if (!thrumi_class_is_single(a->gate[i])) continue;
    if (has_gate(b, a->gate[i]) || b->from == a->gate[i]) return true;
  }
  for (uint8_t i = 0; i < b->gates; i++)
    if (b->gate[i] == a->from && thrumi_class_is_single(a->from)) return true;
  return false;
}

/* Whether the edge may go on from the circle's last: to where it began, or to a class that it has not been at. */
static bool fits(const struct circle *c, const struct edge *e) {
  if (!thrumi_class_blocks(e->to)) return false;
  if (c->count && e->from == e->to) return false;
  for (uint32_t i = 0; i < c->count; i++)
    if (exclude(&c->of[i], e) || (i && c->of[i].from == e->to)) return false;
  return true;
}

/* In one direction of memory all the way round there is no way back to the same lock. */
static bool turns(const struct circle *c) {
  uint8_t common = UPWARD | DOWNWARD;
  for (uint32_t i = 0; i < c->count; i++) common &= c->of[i].ways == (UPWARD | DOWNWARD) ? 0 : c->of[i].ways;
  return common == 0;
}

/* Goes on from the last edge of the circle, back to where the first one begins. */
static bool close_circle(struct circle *c, uint32_t *steps) {
  uint32_t at = c->of[c->count - 1].to;
  if (at == c->of[0].from) return turns(c);
  if (c->count == DEPTH) return false;
  for (uint32_t e = thrumi_class(at)->edges; e && *steps; e = graph.edges[e].next) {
    --*steps;
    if (!fits(c, &graph.edges[e])) continue;
    c->of[c->count++] = graph.edges[e];
    if (close_circle(c, steps)) return true;
    c->count--;
  }
  return false;
}

static bool is_new(const struct circle *c) {
  uint64_t sum = c->count;
  for (uint32_t i = 0; i < c->count; i++) sum += mix(c->of[i].from);
  for (uint32_t i = 0; i < graph.reported_count; i++)
    if (graph.reported[i] == sum) return false;
  if (graph.reported_count == REPORTED) return false;
  graph.reported[graph.reported_count++] = sum;
  return true;
}

static bool find_circle(uint32_t edge, struct circle *out) {
  const struct edge *e = &graph.edges[edge];
  uint32_t steps = STEPS;
  out->count = 0;
  if (e->from != e->to && !reaches(e->to, e->from)) return false;
  if (!fits(out, e)) return false;
  out->of[out->count++] = *e;
  bool closed = close_circle(out, &steps);
  graph.cut |= !closed && !steps;
  return closed && is_new(out);
}

/* ---- Reports ---------------------------------------------------------------------------------------------------------- */

static void say_edge(const struct edge *e) {
  char from[2 * THRUMI_PLACE_MAX], to[2 * THRUMI_PLACE_MAX], place[THRUMI_PLACE_MAX];
  thrumi_log("  \"%s\" holds %s, taken in %s,", e->thread, thrumi_class_text(e->from, from, sizeof from),
             thrumi_place(e->from_site, place));
  thrumi_log("    and takes %s in %s", thrumi_class_text(e->to, to, sizeof to),
             thrumi_place(e->to_site, place));
}

static void say_circle(const struct circle *c) {
  char text[2 * THRUMI_PLACE_MAX];
  if (c->count == 1)
    thrumi_log(
        "lock order: two locks of one class, %s, are taken in either order: this can become a deadlock",
        thrumi_class_text(c->of[0].from, text, sizeof text));
  else
    thrumi_log("lock order: %u locks are taken in orders that can become a deadlock", c->count);
  for (uint32_t i = 0; i < c->count; i++) say_edge(&c->of[i]);
}

static void say_limits(void) {
  static _Atomic bool said_full, said_cut;
  if (graph.full && !thrumi_swap(&said_full, true))
    thrumi_log("more than %d pairs of locks: the order of the rest is not checked", EDGES_MAX);
  if (graph.cut && !thrumi_swap(&said_cut, true))
    thrumi_log("lock order: a search was given up after %d steps; a cycle may be missed", STEPS);
}

/* ---- The check -------------------------------------------------------------------------------------------------------- */

/* Inside: one pair. True: *out is to be reported. */
static bool look_at_pair(const struct sight *s, struct circle *out) {
  thrumi_spin_lock(&graph.lock);
  uint32_t edge = reserve_locked() ? add_locked(s) : 0;
  bool found = edge && find_circle(edge, out);
  thrumi_spin_unlock(&graph.lock);
  return found;
}

static void look_at_chain(const struct thrumi_acquire *a, uint32_t to, const struct thrumi_held *held,
                          uint32_t n) {
  char name[THRUM_NAME_MAX] = "";
  thrum_name(thrum_current(), name, sizeof name);
  for (uint32_t i = 0; i < n; i++) {
    struct sight s = {.held = held, .a = a, .n = n, .at = i, .to = to, .thread = name};
    struct circle circle;
    if (!held[i].klass || held[i].object == a->object) continue;
    struct thrumi_kthread *k = thrumi_enter();
    bool report = look_at_pair(&s, &circle);
    thrumi_leave(k);
    if (report) say_circle(&circle);
  }
  if (graph.full || graph.cut) say_limits();
}

/* What was taken while only the profile was on, or by the call that started the runtime, has no class yet. */
static uint32_t copy_held(struct thrumi_held held[THRUMI_HELD_MAX]) {
  struct thrumi_kthread *k = thrumi_enter();
  uint32_t n = thrumi_held_copy(k->current, held);
  thrumi_leave(k);
  for (uint32_t i = 0; i < n; i++) {
    struct thrumi_acquire was = {.object = held[i].object, .site = held[i].site, .hold = held[i].hold};
    if (!held[i].klass) held[i].klass = thrumi_class_of(&was);
  }
  return n;
}

void thrumi_order_check(const struct thrumi_acquire *a) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  uint32_t to = thrumi_class_of(a);
  if (!to) return;
  if (thrumi_class_begins_to_block(to, (enum thrumi_hold)a->hold)) thrumi_add(&graph.epoch, 1u);
  if (a->patience == THRUMI_TRIES) return;
  uint32_t n = copy_held(held);
  if (n && !is_known(chain_of(a, to, held, n))) look_at_chain(a, to, held, n);
}

void thrumi_order_fork(void) { graph.lock = (struct thrumi_spin){0}; }
