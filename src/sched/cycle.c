/* A thread that is about to park and sees itself at the end of a path that began with it (waits.h) leaves its name here. The
 * breeder, who may allocate and print, looks into that later:
 *
 *   all arrows are exact       it sees the cycle, all parked, at two looks with a pause in between: the verdict
 *   some are suspected only    the youngest of the waits has lasted for a second: one report, and the program goes on
 *   no cycle any more          forgotten
 *
 * The list is bounded. What does not fit is not looked into: thrum_find_deadlocks finds it, and so does the verdict on a program
 * in which nothing moves. A suspected cycle is reported once, by the objects in it; so are at most REPORTED of them. */
#include <core/fatal.h>
#include <sched/cycle.h>
#include <sched/deadlock.h>
#include <sched/report.h>
#include <sched/self.h>
#include <sched/waits.h>
#include <thrum/time.h>
#include <thrum/trace.h>

#define LOOK_SOON THRUM_MS(1)
#define LOOK_AGAIN THRUM_MS(10)
#define LASTS THRUM_S(1)
enum { SUSPECTS = 64, REPORTED = 64 };

struct suspect {
  uint64_t handle, word; /* the thread and its wait */
  int64_t due;
  bool seen; /* in an exact cycle, at the last look */
};

static struct {
  struct thrumi_spin lock;
  _Atomic uint32_t count;
  struct suspect of[SUSPECTS];
} suspects;

static struct {
  uint64_t of[REPORTED];
  uint32_t count;
  bool full;
} reported; /* the breeder's */

static uint64_t wait_number(uint64_t word) { return word / THRUMI_WAIT_STATES; }

static void add(const struct suspect *s) {
  thrumi_spin_lock(&suspects.lock);
  uint32_t n = thrumi_load_relaxed(&suspects.count);
  if (n < SUSPECTS) {
    suspects.of[n] = *s;
    thrumi_store(&suspects.count, n + 1);
  }
  thrumi_spin_unlock(&suspects.lock);
}

void thrumi_cycle_suspect(struct thrumi_thread *t) {
  add(&(struct suspect){
      .handle = thrumi_handle(t).value, .word = thrumi_load(&t->wait), .due = thrumi_os.now() + LOOK_SOON});
  thrumi_breed();
}

/* The fence is the same as in thrumi_closes_cycle, by proxy. */
void thrumi_cycle_moved(struct thrumi_thread *t, uint32_t mark) {
  atomic_thread_fence(memory_order_seq_cst);
  struct thrumi_thread *holder = thrumi_marked(mark);
  if (thrumi_unlikely(holder && thrumi_may_point(holder))) thrumi_cycle_suspect(t);
}

/* ---- Looking into it -------------------------------------------------------------------------------------------------- */

/* The same objects make the same number, wherever one begins. */
static uint64_t number_of(const struct thrumi_cycle *cycle) {
  uint64_t sum = cycle->count;
  for (size_t i = 0; i < cycle->count; i++) {
    uint64_t key = (uintptr_t)cycle->of[i].object * UINT64_C(0x9e3779b97f4a7c15);
    sum += key ^ key >> 31;
  }
  return sum;
}

static bool is_new(uint64_t number) {
  for (uint32_t i = 0; i < reported.count; i++)
    if (reported.of[i] == number) return false;
  if (reported.count < REPORTED) {
    reported.of[reported.count++] = number;
    return true;
  }
  if (!reported.full) thrumi_log("more than %d suspected deadlocks: the rest is not reported", REPORTED);
  reported.full = true;
  return false;
}

/* When to look again; 0: never. */
static int64_t weigh(const struct thrumi_cycle *cycle, struct suspect *s, int64_t now) {
  if (!cycle->parked) return now + LOOK_SOON;
  if (cycle->exact) {
    bool holds = thrumi_cycle_holds(cycle);
    if (holds && s->seen) thrumi_deadlock_verdict(cycle);
    s->seen = holds;
    return now + LOOK_AGAIN;
  }
  s->seen = false;
  if (now - cycle->youngest < LASTS) return cycle->youngest + LASTS;
  if (thrumi_cycle_holds(cycle) && is_new(number_of(cycle))) thrumi_report_suspected(cycle);
  return 0;
}

static int64_t look_into(struct suspect *s, int64_t now) {
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup((thrum_thread){s->handle}, &life);
  if (!t || wait_number(thrumi_load(&t->wait)) != wait_number(s->word)) return 0;
  struct thrumi_cycle cycle;
  if (!thrumi_cycle_from(t, &cycle)) return 0;
  int64_t again = weigh(&cycle, s, now);
  thrumi_cycle_free(&cycle);
  return again;
}

/* Takes one that is due out of the list. *next: when the first of the others is. */
static bool take_due(int64_t now, struct suspect *out, int64_t *next) {
  bool taken = false;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&suspects.lock);
  uint32_t n = thrumi_load_relaxed(&suspects.count);
  *next = INT64_MAX;
  for (uint32_t i = 0; i < n;) {
    if (!taken && suspects.of[i].due <= now) {
      taken = true;
      *out = suspects.of[i];
      suspects.of[i] = suspects.of[--n];
    } else {
      if (suspects.of[i].due < *next) *next = suspects.of[i].due;
      i++;
    }
  }
  thrumi_store(&suspects.count, n);
  thrumi_spin_unlock(&suspects.lock);
  thrumi_leave(k);
  return taken;
}

int64_t thrumi_cycle_examine(int64_t now) {
  struct suspect s;
  int64_t next = INT64_MAX;
  if (!thrumi_load(&suspects.count)) return next;
  while (take_due(now, &s, &next)) {
    s.due = look_into(&s, now);
    if (!s.due) continue;
    struct thrumi_kthread *k = thrumi_enter();
    add(&s);
    thrumi_leave(k);
  }
  return next;
}

void thrumi_cycle_fork(void) {
  suspects.lock = (struct thrumi_spin){0};
  thrumi_store(&suspects.count, 0);
}

/* ---- On demand -------------------------------------------------------------------------------------------------------- */

/* Follows the path from t through threads that no path has gone through before, which `seen` tells by slot. True: it came back
 * to a thread of its own, *in_cycle. */
static bool find_back(struct thrumi_thread *t, uint32_t *seen, uint32_t slots,
                      struct thrumi_thread **in_cycle) {
  uint32_t path = t->slot;
  struct thrumi_look look;
  bool more = true;
  while (more && t->slot < slots && !seen[t->slot]) {
    seen[t->slot] = path;
    struct thrumi_kthread *k = thrumi_enter();
    more = thrumi_look_at(t, &look) && !(look.how & THRUMI_TIMED) && look.next;
    thrumi_leave(k);
    if (more) t = look.next;
  }
  *in_cycle = t;
  return more && t->slot < slots && seen[t->slot] == path;
}

int thrumi_report_cycles(struct thrumi_sink *sink) {
  uint32_t slots = thrumi_record_count();
  uint32_t *seen = thrumi_os.allocate(slots * sizeof *seen);
  if (!seen) return -ENOMEM;
  int found = 0;
  for (uint32_t slot = 1; slot < slots; slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    struct thrumi_cycle cycle;
    if (seen[slot] || !find_back(t, seen, slots, &t) || !thrumi_cycle_from(t, &cycle)) continue;
    if (cycle.parked && thrumi_cycle_holds(&cycle)) {
      thrumi_say_cycle(sink, &cycle);
      found++;
    }
    thrumi_cycle_free(&cycle);
  }
  thrumi_os.free(seen);
  return found;
}

int thrum_find_deadlocks(int fd) {
  thrumi_leave(thrumi_enter());
  struct thrumi_sink sink = {.fd = fd};
  int found = thrumi_report_cycles(&sink);
  return sink.error ? sink.error : found;
}
