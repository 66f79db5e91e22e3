/* The watchers of this process.
 *
 * A watcher is a kernel thread that is always inside the runtime and has no worker, as the monitor is. It has entries, a word each,
 * and the value from which on it counts: `seen`.
 *
 *   what                      changed by                                       under
 *   the list of watchers      the new watcher                                  registry.lock
 *   entries, `count`          who queues adds one; the watcher takes one out   the word's bucket, registry.lock
 *   `seen`, `end` of an entry who queues for its word; the watcher             the word's bucket; who queues: registry.lock, too
 *   `armed` of an entry       set by the watcher, cleared by who changes `end` registry.lock
 *   `rung`                    who queues for a word that is not armed          registry.lock
 *   `starting`                who starts a watcher sets it, and clears it if that fails; else the watcher, when it is listed
 *
 * Order: a bucket, then registry.lock.
 *
 * Invariant. While somebody is queued for a word, an entry of its address is there (or the waiter looks again by itself), and
 * `seen` of it is a value that the word had when, or before, each of those who are queued found it as they did.
 *
 * No wake is lost. W has found the word to be s, in the bucket, and queues; the entry says v, which the word was no later. A
 * wake that comes after that makes the word another value than v, until the counter has gone round, and then asks the kernel. If the watcher sleeps
 * on the word, the kernel wakes it, or somebody else who sleeps there too: that is what a counter's wake of one means. If it does
 * not, its next sleep on it ends at once, since the kernel compares the word with v under the lock that the wake needs.
 * And there is a next sleep: W has rung, if the entry was not armed, and `rung` is one of the words slept on, with the value that it
 * had when the entries were looked through. Either way the watcher then looks at the word and lets as many go as it was raised by.
 * Those who were woken elsewhere are among them, so more may go than were meant to: never fewer.
 *
 * Whom the watcher lets go may have run out of time (thrumi_let_go says so, in the bucket): then the next one is asked, and if there
 * is none the wake is passed on, by one more call of the kernel for the same word. That cannot go round for ever: nobody is
 * queued for it here any more, so the watcher does not sleep on it when it passes it on. The kernel names one of the words that were
 * woken; if there were two, the other one differs from `seen`, but a wake of it that finds nobody would not be passed on. So whenever the
 * watcher looks, every entry that nobody is queued for goes, with a wake of its word.
 *
 * A word is read only while somebody is queued for it, in the bucket: its memory may be unmapped once nobody is. The kernel may find
 * it unmapped as well (-EFAULT). The same is true of the end of a holder: it lies in the segment of the object, which
 * is mapped while somebody waits. An entry stays when its last waiter is let go, until the watcher looks next: who waits again for
 * the same word need not ring. (It must go then: nobody could say that the word has changed, and no sleep on it would last.)
 *
 * While a watcher has entries it counts as one outside of thrum that may wake somebody: no deadlock is pronounced.
 *
 * The child of a fork has no watchers and nobody who waits: it begins anew.
 *
 * Rejected: a worker without work that sleeps in futex_waitv itself: each wake-up between workers would pay for it. A thread of
 * its own for each waiter: a thousand waiters, a thousand kernel threads. An eventfd from process to process: who would
 * know all descriptors? A timed re-check alone: what it costs asleep, or how late it is. */
#include <errno.h>
#include <pthread.h>
#include <process/shared_wait.h>
#include <sched/self.h>

enum { ENTRIES = THRUMI_WAITED_MAX / 2 - 1, SIZE = 2 * ENTRIES + 1, GIFT_WAKE = 0, GIFT_LOOK = 1 };
#define RECHECK THRUM_MS(1) /* of all words, where the kernel has no futex_waitv */
#define UNWATCHED THRUM_MS(10)

struct entry {
  thrumi_futex *word, *end;
  uint32_t seen, end_expected;
  bool armed; /* the watcher's present sleep, or its next one, covers it */
};

/* What a sleep covers: the words of n entries, `rung`, and ends. */
struct sleep {
  uint32_t n, size;
  struct thrumi_waited_word words[SIZE];
  uint32_t ends_of[ENTRIES]; /* of words[n + 1 + i] */
};

struct watcher {
  struct watcher *next;
  struct thrumi_kthread *kthread;
  thrumi_futex rung;
  uint32_t count;
  struct entry entries[ENTRIES];
  struct sleep sleep; /* the watcher's own, as the rest */
  int64_t tick;
  bool one_by_one; /* the kernel has no futex_waitv */
};

/* Why the watcher looks at an entry. */
struct look {
  bool woken; /* a wake of the kernel came for it */
  bool ended; /* one came for the end of who holds it */
  bool tick;
};

static struct {
  struct thrumi_spin lock;
  struct watcher *first;
  struct watcher *left;               /* by the parent of a fork: leak checkers are to see them */
  _Atomic(struct watcher *) newcomer; /* being started */
  _Atomic uint32_t room;
  thrumi_futex starting;
  bool forks; /* they are looked after */
} registry;

/* ---- Entries ---------------------------------------------------------------------------------------------------------- */

static struct entry *find(thrumi_futex *word, struct watcher **whose) {
  for (struct watcher *w = registry.first; w; w = w->next)
    for (uint32_t i = 0; i < w->count; i++)
      if (w->entries[i].word == word) return *whose = w, &w->entries[i];
  return NULL;
}

/* From its first entry to its last a watcher is one more outside that may wake somebody. */
static struct entry *add(thrumi_futex *word, struct watcher **whose) {
  for (struct watcher *w = registry.first; w; w = w->next) {
    if (w->count == ENTRIES) continue;
    if (w->count == 0) thrumi_add(&thrumi_sched.outside, 1u);
    w->entries[w->count] = (struct entry){.word = word};
    thrumi_add(&registry.room, -1u);
    *whose = w;
    return &w->entries[w->count++];
  }
  return NULL;
}

static void note_end(struct entry *entry, const struct thrumi_shared_wait *wait) {
  if (!wait->end || (entry->end == wait->end && entry->end_expected == wait->end_expected)) return;
  entry->end = wait->end;
  entry->end_expected = wait->end_expected;
  entry->armed = false;
}

/* In the word's bucket; `first`: nobody else is queued. False: no watcher has room. *rings: the watcher that must be rung for, or
 * NULL. */
static bool watch(const struct thrumi_shared_wait *wait, thrumi_futex *word, uint32_t seen, bool first,
                  struct watcher **rings) {
  struct watcher *w = NULL;
  thrumi_spin_lock(&registry.lock);
  struct entry *entry = find(word, &w);
  bool new = !entry && (entry = add(word, &w));
  if (entry) {
    if (new || first) entry->seen = seen;
    note_end(entry, wait);
  }
  *rings = entry && !entry->armed ? w : NULL;
  if (*rings) thrumi_add(&w->rung, 1u);
  thrumi_spin_unlock(&registry.lock);
  return entry;
}

/* In the word's bucket: nobody is queued. The last entry takes its place. True: it was the watcher's last one. */
static bool remove(struct watcher *w, uint32_t i) {
  thrumi_spin_lock(&registry.lock);
  w->entries[i] = w->entries[--w->count];
  thrumi_add(&registry.room, 1u);
  bool last = w->count == 0;
  thrumi_spin_unlock(&registry.lock);
  return last;
}

/* ---- The watcher ------------------------------------------------------------------------------------------------------ */

/* In the bucket: lets n go, or all. How many went. */
static uint32_t let_go(struct thrumi_bucket *bucket, thrumi_futex *word, uint32_t n, uintptr_t gift) {
  struct thrumi_waiter *first;
  uint32_t gone = 0;
  while (gone < n && (first = thrumi_bucket_first(bucket, word))) gone += thrumi_let_go(bucket, first, gift);
  return gone;
}

static const struct thrumi_shared_wait *wait_of(const struct thrumi_waiter *waiter) {
  return (const struct thrumi_shared_wait *)waiter;
}

/* In the bucket, with somebody queued: how many may go. */
static uint32_t due(struct entry *entry, const struct thrumi_waiter *first, bool woken) {
  uint32_t before = entry->seen, now = thrumi_load(entry->word), shift = wait_of(first)->shift;
  entry->seen = now;
  if (shift == THRUMI_SHARED_STATE) return now != before ? UINT32_MAX : woken;
  uint32_t raised = ((now >> shift) - (before >> shift)) & UINT32_MAX >> shift;
  return raised || !woken ? raised : 1;
}

/* The same: whether one is to look though nobody woke it. Nobody need look at a state that has not changed, unless it ends with somebody:
 * the word of an end does not tell one user of a slot from the next, if the watcher did not run in between. */
static bool must_look(struct entry *entry, const struct thrumi_waiter *first, struct look look) {
  bool ended = entry->end && thrumi_load(entry->end) != entry->end_expected;
  if (ended) entry->end = NULL; /* said once; who looks and waits again names another one */
  return ended || look.ended || (look.tick && (entry->end || wait_of(first)->shift != THRUMI_SHARED_STATE));
}

/* Looks at one entry. True: it was taken out. */
static bool serve(struct watcher *w, uint32_t i, struct look look) {
  struct entry *entry = &w->entries[i];
  thrumi_futex *word = entry->word, *end = look.ended ? entry->end : NULL;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(word);
  struct thrumi_waiter *first = thrumi_bucket_first(bucket, word);
  uint32_t gone = first ? let_go(bucket, word, due(entry, first, look.woken), GIFT_WAKE) : 0;
  first = thrumi_bucket_first(bucket, word);
  if (!gone && first && must_look(entry, first, look)) gone = let_go(bucket, word, 1, GIFT_LOOK);
  bool out = !gone && !first, last = out && remove(w, i);
  thrumi_bucket_unlock(bucket);
  if (!gone && (look.woken || out)) thrumi_os.shared_wake(word, 1);
  if (end) thrumi_os.shared_wake(end, INT32_MAX); /* the kernel has woken one of those who watch it */
  if (last) thrumi_less_outside();
  return out;
}

/* From the last to the first: one that is taken out is replaced by one that was looked at, or is new. How many were taken out. */
static uint32_t serve_all(struct watcher *w, int woken, bool tick) {
  const struct sleep *s = &w->sleep;
  bool end = woken > (int)s->n;
  uint32_t out = 0, ended = end ? s->ends_of[(uint32_t)woken - s->n - 1] : UINT32_MAX;
  for (uint32_t i = s->n; i-- > 0;)
    out += serve(w, i, (struct look){.woken = (int)i == woken, .ended = i == ended, .tick = tick});
  return out;
}

/* What the next sleep covers. Entries are added meanwhile, but none goes and none changes its place. */
static void arm(struct watcher *w) {
  struct sleep *s = &w->sleep;
  thrumi_spin_lock(&registry.lock);
  s->n = w->count;
  s->words[s->n] = (struct thrumi_waited_word){&w->rung, thrumi_load(&w->rung), false};
  s->size = s->n + 1;
  for (uint32_t i = 0; i < s->n; i++) {
    struct entry *entry = &w->entries[i];
    entry->armed = true;
    s->words[i] = (struct thrumi_waited_word){entry->word, entry->seen, true};
    if (!entry->end) continue;
    s->ends_of[s->size - s->n - 1] = i;
    s->words[s->size++] = (struct thrumi_waited_word){entry->end, entry->end_expected, true};
  }
  thrumi_spin_unlock(&registry.lock);
}

static void doze(const struct sleep *s, int64_t deadline) {
  thrumi_os.futex_wait(s->words[s->n].word, s->words[s->n].expected, deadline);
}

/* There is no futex_waitv, or a filter of system calls forbids it. */
static bool is_refused(int error) {
  return error < 0 && error != -EAGAIN && error != -ETIMEDOUT && error != -EINTR && error != -EFAULT;
}

/* The index of the word that was woken, or a negative error. */
static int sleep_on(struct watcher *w) {
  struct sleep *s = &w->sleep;
  if (!w->one_by_one) {
    int woken = thrumi_os.shared_wait_any(s->words, s->size, w->tick);
    if (!is_refused(woken)) return woken;
    w->one_by_one = woken != -ENOMEM; /* for that, this once only */
  }
  int64_t soon = thrumi_os.now() + RECHECK;
  doze(s, soon < w->tick ? soon : w->tick);
  return -EAGAIN;
}

/* With entries. */
static void watch_once(struct watcher *w) {
  int woken = sleep_on(w);
  int64_t now = thrumi_os.now();
  bool tick = now >= w->tick;
  if (tick) w->tick = now + THRUMI_SHARED_TICK;
  uint32_t out = serve_all(w, woken, tick);
  if (woken == -EFAULT && !out)
    doze(&w->sleep, now + RECHECK); /* unmapped under one who waits: its own affair */
}

static void enlist(struct watcher *w) {
  thrumi_spin_lock(&registry.lock);
  w->next = registry.first;
  registry.first = w;
  thrumi_spin_unlock(&registry.lock);
  thrumi_add(&registry.room, (uint32_t)ENTRIES);
}

static void end_start(void) {
  thrumi_store(&registry.starting, 0);
  thrumi_os.futex_wake(&registry.starting, INT32_MAX);
}

static void *watcher_main(void *arg) {
  thrumi_os_name_thread("thrum-watcher");
  thrumi_kthread_adopt(arg);
  thrumi_os_short_slice(THRUMI_SHORT_SLICE);
  struct watcher *w = thrumi_swap(&registry.newcomer, NULL);
  enlist(w);
  end_start();
  for (;;) {
    arm(w);
    if (w->sleep.n == 0) {
      doze(&w->sleep, INT64_MAX);
      w->tick = thrumi_os.now() + THRUMI_SHARED_TICK;
    } else {
      watch_once(w);
    }
  }
  return NULL;
}

/* ---- Starting --------------------------------------------------------------------------------------------------------- */

static void after_fork(void) {
  if (registry.first) registry.left = registry.first;
  registry.first = NULL;
  registry.lock = (struct thrumi_spin){0};
  thrumi_store(&registry.newcomer, NULL);
  thrumi_store(&registry.room, 0);
  thrumi_store(&registry.starting, 0);
}

/* False: there is no memory, or no kernel thread, to be had. */
static bool start(void) {
  struct watcher *w = registry.forks ? thrumi_os.allocate(sizeof *w) : NULL;
  struct thrumi_kthread *k = w ? thrumi_kthread_new(THRUMI_ROLE_MONITOR) : NULL;
  thrumi_store(&registry.newcomer, w);
  if (k && thrumi_kthread_start(k, watcher_main) == 0) return true;
  if (k) thrumi_kthread_discard(k);
  thrumi_os.free(w);
  return false;
}

/* Before the first start: a fork in the midst of one is looked after. */
static void look_after_forks(void) { registry.forks = pthread_atfork(NULL, NULL, after_fork) == 0; }

/* One thread at a time starts one, and those who come by wait for that: as long as a kernel thread takes to begin. */
void thrumi_shared_ready(void) {
  if (thrumi_likely(thrumi_load_relaxed(&registry.room) > 0)) return;
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  thrumi_leave(thrumi_enter()); /* the runtime is started */
  pthread_once(&once, look_after_forks);
  uint32_t no = 0;
  if (thrumi_cas(&registry.starting, &no, 1u) && !start()) end_start();
  while (thrumi_load(&registry.starting)) thrumi_os.futex_wait(&registry.starting, 1, INT64_MAX);
}

/* ---- Waiting and waking ----------------------------------------------------------------------------------------------- */

int thrumi_shared_await(struct thrumi_shared_wait *wait, thrumi_futex *word, uint32_t seen, int64_t deadline,
                        int flags) {
  struct watcher *rings = NULL;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(word);
  if (thrumi_load(word) != seen) {
    thrumi_bucket_unlock(bucket);
    return 0;
  }
  if (deadline <= 0) {
    thrumi_bucket_unlock(bucket);
    return flags & THRUMI_CANCELLABLE ? thrumi_poll_error(thrumi_self()->current) : -ETIMEDOUT;
  }
  int64_t until = deadline;
  if (!watch(wait, word, seen, !thrumi_bucket_first(bucket, word), &rings)) {
    int64_t soon = thrumi_os.now() + UNWATCHED;
    if (soon < until) until = soon;
  }
  thrumi_enqueue(bucket, &wait->waiter, word, wait->what, wait->object,
                 flags | (wait->waited ? THRUMI_AT_FRONT : 0));
  wait->waited = true;
  thrumi_bucket_unlock(bucket);
  if (rings) thrumi_os.futex_wake(&rings->rung, 1);
  enum thrumi_wait_state outcome = thrumi_await_queued(&wait->waiter, until);
  return outcome == THRUMI_TIMED_OUT && until < deadline ? 0 : thrumi_wait_error(outcome);
}

void thrumi_shared_wake(thrumi_futex *word, uint32_t n) { thrumi_os.shared_wake(word, (int)n); }
