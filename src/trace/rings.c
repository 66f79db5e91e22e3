#include <sched/self.h>
#include <sched/step.h>
#include <string.h>
#include <trace/clock.h>
#include <trace/pieces.h>
#include <trace/rings.h>
#include <trace/strings.h>

enum { STRANGERS = THRUMI_RINGS - 1 };

static _Atomic(struct thrumi_ring *) rings[THRUMI_RINGS];
static struct thrumi_spin
    lock; /* around each put to the ring of strangers: taken under any other lock, takes none */
static _Atomic uint64_t wanted;  /* events of a new ring */
static _Atomic bool has_no_ends; /* a new ring is a flight recorder's */

_Static_assert(THRUMI_RINGS == THRUM_WORKERS_MAX + 1, "a ring for each worker");
_Static_assert(sizeof(struct thrumi_slot) == sizeof(struct thrumi_event), "an event is a slot");

/* ---- Making ---------------------------------------------------------------------------------------------------- */

static size_t bytes_for(uint64_t events) {
  return sizeof(struct thrumi_ring) + events * sizeof(struct thrumi_slot);
}

static struct thrumi_ring *make(uint64_t events, bool endless) {
  struct thrumi_ring *ring = thrumi_os.reserve(bytes_for(events));
  if (!ring) return NULL;
  ring->size = events;
  ring->slots = (struct thrumi_slot *)(ring + 1);
  thrumi_ring_begin(ring, endless);
  return ring;
}

/* By the first event of a worker that came late. Strangers may do so at once. */
static struct thrumi_ring *make_late(uint32_t i) {
  struct thrumi_ring *none = NULL, *ring = make(thrumi_load(&wanted), thrumi_load(&has_no_ends));
  if (!ring || thrumi_cas(&rings[i], &none, ring)) return ring;
  thrumi_os.release(ring, bytes_for(ring->size));
  return none;
}

/* So that no event pays for the first touch of a page. */
static void touch(struct thrumi_ring *ring) {
  for (uint64_t i = 0; i < ring->size; i += 4096 / sizeof *ring->slots)
    thrumi_store_relaxed(&ring->slots[i].word[0], 0);
}

static bool begin(uint32_t i, uint64_t events, bool endless) {
  struct thrumi_ring *ring = thrumi_load(&rings[i]);
  if (!ring || ring->size != events) {
    ring = make(events, endless);
    if (!ring) return false;
    touch(ring);
    thrumi_store(&rings[i], ring);
  }
  thrumi_ring_begin(ring, endless);
  return true;
}

bool thrumi_rings_begin(uint32_t workers, uint64_t events, bool endless) {
  thrumi_store(&wanted, events);
  thrumi_store(&has_no_ends, endless);
  for (uint32_t i = 0; i < THRUMI_RINGS; i++)
    if ((i < workers || i == STRANGERS || thrumi_load(&rings[i])) && !begin(i, events, endless)) return false;
  return true;
}

struct thrumi_ring *thrumi_ring_at(uint32_t i) {
  return thrumi_load(&rings[i]);
}

void thrumi_rings_fork(void) { lock = (struct thrumi_spin){0}; }

/* ---- Putting --------------------------------------------------------------------------------------------------- */

/* There is no memory for a ring: the ring of strangers counts that, which is there whenever one records. */
static void lose(uint32_t events) {
  struct thrumi_ring *ring = thrumi_load(&rings[STRANGERS]);
  thrumi_spin_lock(&lock);
  thrumi_store_relaxed(&ring->lost, thrumi_load_relaxed(&ring->lost) + events);
  thrumi_spin_unlock(&lock);
}

static void put(uint32_t at, const struct thrumi_event *events, int count) {
  struct thrumi_ring *ring = thrumi_load(&rings[at]);
  if (thrumi_unlikely(!ring) && !(ring = make_late(at))) {
    lose((uint32_t)count);
    return;
  }
  if (at == STRANGERS) thrumi_spin_lock(&lock);
  for (int i = 0; i < count; i++) {
    uint64_t words[THRUMI_RING_WORDS];
    memcpy(words, &events[i], sizeof words);
    if (!thrumi_ring_put(ring, words)) break;
  }
  if (at == STRANGERS) thrumi_spin_unlock(&lock);
}

/* The hot path: one event, by a worker that has its ring. */
static inline void put_one(uint32_t at, const struct thrumi_event *event) {
  struct thrumi_ring *ring = thrumi_load(&rings[at]);
  if (thrumi_unlikely(!ring || at == STRANGERS)) {
    put(at, event, 1);
    return;
  }
  uint64_t words[THRUMI_RING_WORDS];
  memcpy(words, event, sizeof words);
  thrumi_ring_put(ring, words);
}

static inline bool is_ordered(enum thrumi_event_kind kind) { return kind < 64 && THRUMI_ORDERED >> kind & 1; }

/* The worker that the caller holds. A kernel thread that is outside has at most one that may be taken from it. */
static inline uint32_t own_ring(void) {
  const struct thrumi_kthread *k = thrumi_self();
  return k && k->worker ? k->worker->id : STRANGERS;
}

static inline struct thrumi_event event_at(uint32_t at, enum thrumi_event_kind kind, uint64_t thread,
                                           uint64_t object, uint32_t detail, uint64_t stamp) {
  return (struct thrumi_event){.time = (int64_t)(stamp ? stamp : thrumi_stamp(is_ordered(kind))),
                               .thread = thread,
                               .object = object,
                               .kind = (uint16_t)kind,
                               .worker = (uint16_t)thrumi_ring_number(at),
                               .detail = detail};
}

static void put_name(uint64_t thread) {
  struct thrumi_event pieces[THRUMI_PIECES];
  uint32_t at = own_ring();
  int count = thrumi_pieces_make(thread, pieces);
  for (int i = 0; i < count; i++) pieces[i].time = (int64_t)thrumi_stamp(false);
  put(at, pieces, count);
}

/* About another worker than the caller's: who hands it over, or takes it away, is the only one who has it at that moment. */
static inline bool is_about_worker(enum thrumi_event_kind kind, uint64_t detail) {
  return detail && (kind == THRUMI_EVENT_RUN || kind == THRUMI_EVENT_LEASE);
}

void thrumi_rings_hook(enum thrumi_event_kind kind, uint64_t thread, uint64_t object, uint64_t detail,
                       uint64_t stamp) {
  if (kind == THRUMI_EVENT_NAME) {
    put_name(thread);
    return;
  }
  bool other = is_about_worker(kind, detail);
  uint32_t at = other ? (uint32_t)detail - 1 : own_ring(), note = other ? 0 : (uint32_t)detail;
  if (kind == THRUMI_EVENT_PARK) note = thrumi_string_number((const char *)(uintptr_t)detail);
  struct thrumi_event event = event_at(at, kind, thread, object, note, stamp);
  put_one(at, &event);
}

uint64_t thrumi_rings_stamp(void) { return thrumi_stamp(false); }
