/* Who watches is told of each step of a thread, in order: its birth, each time that it goes on, gives up its worker or loses it, waits
 * and is woken, and its end (core/event.h). */
#include "../support.h"

#include <core/hooks.h>
#include <sys/socket.h>

enum { STEPS = 4096 };

struct step {
  enum thrumi_event_kind kind;
  uint64_t thread, object, detail;
};

static struct step steps[STEPS];
static uint32_t taken;
static bool noted[STEPS]; /* the step is all there */

/* By any kernel thread at any moment, locks held or not. */
static void note(enum thrumi_event_kind kind, uint64_t thread, uint64_t object, uint64_t detail,
                 uint64_t stamp) {
  (void)stamp;
  uint32_t at = ADD(taken, 1u) - 1;
  if (at >= STEPS) return;
  steps[at] = (struct step){kind, thread, object, detail};
  STORE(noted[at], true);
}

/* Whether there is a step of that kind from *from on; then *from is the one behind it. */
static bool find(uint32_t *from, enum thrumi_event_kind kind, uint64_t thread, const uint64_t *object) {
  uint32_t count = LOAD(taken) < STEPS ? LOAD(taken) : STEPS;
  for (uint32_t i = *from; i < count; i++) {
    if (!LOAD(noted[i]) || steps[i].kind != kind || steps[i].thread != thread) continue;
    if (object && steps[i].object != *object) continue;
    *from = i + 1;
    return true;
  }
  return false;
}

#define EXPECT(kind, thread) CHECK(find(&at, THRUMI_EVENT_##kind, (thread).value, NULL))
#define EXPECT_OF(kind, thread, what) \
  CHECK(find(&at, THRUMI_EVENT_##kind, (thread).value, &(uint64_t){(uint64_t)(what)}))

static thrum_event event;
static bool go;
static int fds[2], sockets[2];

static thrum_thread start(thrum_fn *fn) {
  STORE(go, false);
  __atomic_fetch_or(&thrumi_mode, (uint32_t)THRUMI_MODE_TRACE, __ATOMIC_SEQ_CST);
  return must_spawn(fn, NULL);
}

static intptr_t yield_and_wait(void *arg) {
  thrum_yield();
  thrum_event_wait(&event);
  return (intptr_t)arg;
}

/* The other one yields to main, and then waits for it. */
static void yields_and_waits(thrum_thread me) {
  uint32_t at = LOAD(taken);
  thrum_thread t = start(yield_and_wait);
  uint32_t seen = at;
  while (!find(&seen, THRUMI_EVENT_PARK, t.value, NULL)) thrum_yield();
  thrum_event_set(&event);
  CHECK_EQ(must_join(t), 0);
  EXPECT_OF(SPAWN, me, t.value);
  EXPECT(YIELD, me);
  EXPECT(RUN, t);
  EXPECT(YIELD, t);
  EXPECT(RUN, me);
  EXPECT(RUN, t);
  EXPECT_OF(PARK, t, (uintptr_t)&event);
  EXPECT_OF(UNPARK, me, t.value);
  EXPECT_OF(PARK, me, t.value);
  EXPECT(RUN, t);
  uint32_t ended = at, woke = at; /* the joiner is woken from the end, or before: of the two none is first */
  CHECK(find(&ended, THRUMI_EVENT_END, t.value, NULL));
  CHECK(find(&woke, THRUMI_EVENT_UNPARK, t.value, &me.value));
  at = ended > woke ? ended : woke;
  EXPECT(RUN, me);
}

static intptr_t compute(void *arg) {
  while (!LOAD(go)) continue;
  return (intptr_t)arg;
}

/* Whether it was preempted. One that the machine holds up may be taken for blocked, and computes on without a worker. */
static bool computes_until_preempted(thrum_thread *t) {
  uint32_t at = LOAD(taken), preempted = at, lost = at;
  bool is_lost = false;
  *t = start(compute);
  while (!find(&preempted, THRUMI_EVENT_PREEMPT, t->value, NULL) &&
         !(is_lost = find(&lost, THRUMI_EVENT_LEASE, t->value, NULL)))
    thrum_yield();
  STORE(go, true);
  CHECK_EQ(must_join(*t), 0);
  return !is_lost;
}

static void is_preempted(thrum_thread me) {
  uint32_t at;
  thrum_thread t;
  int tries = 0;
  do {
    CHECK(++tries < 10);
    at = LOAD(taken);
  } while (!computes_until_preempted(&t));
  EXPECT(RUN, t);
  EXPECT(PREEMPT, t);
  EXPECT(RUN, me);
  EXPECT(RUN, t);
  EXPECT(END, t);
}

static intptr_t read_plainly(void *arg) {
  char c;
  CHECK_EQ(read(fds[0], &c, 1), 1);
  return (intptr_t)arg;
}

static void blocks(thrum_thread me) {
  uint32_t at = LOAD(taken);
  thrum_thread t = start(read_plainly);
  uint32_t seen = at;
  while (!find(&seen, THRUMI_EVENT_LEASE, t.value, NULL)) thrum_yield();
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(must_join(t), 0);
  EXPECT(RUN, t);
  EXPECT(LEASE, t);
  EXPECT(RUN, me);
  EXPECT(REGAIN, t);
  EXPECT(RUN, t);
  EXPECT(END, t);
}

static intptr_t receive(void *arg) {
  char c;
  CHECK_EQ(thrum_recv(sockets[0], &c, 1, 0), 1);
  return (intptr_t)arg;
}

/* Whether all that woke it, from step `at` on, was input: a wait for that ends at times by itself, to look again. */
static bool was_woken_once(uint32_t at, thrum_thread t) {
  int wakes = 0;
  for (uint32_t i = at; i < LOAD(taken); i++) {
    while (!LOAD(noted[i])) thrum_yield();
    if (steps[i].kind == THRUMI_EVENT_UNPARK && steps[i].object == t.value) wakes += steps[i].detail ? 2 : 1;
  }
  return wakes == 1;
}

/* A descriptor that is ready is told of by the UNPARK of who waits for it, and by a step of its own if nobody does. */
static void waits_for_input(void) {
  const uint64_t fd = (uint64_t)sockets[0];
  uint32_t at = LOAD(taken), io = at;
  thrum_thread t = start(receive);
  uint32_t seen = at;
  while (!find(&seen, THRUMI_EVENT_PARK, t.value, &fd)) thrum_yield();
  CHECK_EQ(thrum_send(sockets[1], "x", 1, 0), 1);
  CHECK_EQ(must_join(t), 0);
  CHECK(!was_woken_once(at, t) || !find(&io, THRUMI_EVENT_IO, 0, &fd));
  io = LOAD(taken);
  CHECK_EQ(thrum_send(sockets[1], "y", 1, 0), 1);
  AWAIT(find(&io, THRUMI_EVENT_IO, 0, &fd));
  char c;
  CHECK_EQ(thrum_recv(sockets[0], &c, 1, 0), 1);
}

/* Who joins a thread that never ran may lend it its own stack. */
static intptr_t join_one(void *arg) { return must_join(must_spawn(yield_and_wait, arg)); }

static void goes_on_behind_its_guest(void) {
  uint32_t at = LOAD(taken);
  thrum_event_set(&event);
  thrum_thread t = start(join_one);
  CHECK_EQ(must_join(t), 0);
  uint32_t spawned = at;
  while (spawned < LOAD(taken) &&
         !(steps[spawned].kind == THRUMI_EVENT_SPAWN && steps[spawned].thread == t.value))
    spawned++;
  CHECK(spawned < LOAD(taken));
  thrum_thread guest = {steps[spawned].object};
  EXPECT(RUN, t);
  EXPECT_OF(SPAWN, t, guest.value);
  EXPECT(RUN, guest);
  EXPECT(END, guest);
  EXPECT(RUN, t);
  EXPECT(END, t);
}

/* A thread that has been joined may still be telling who runs behind it. */
static void forget_steps(void) {
  for (uint32_t i = 0; i < LOAD(taken) && i < STEPS; i++)
    while (!LOAD(noted[i])) thrum_yield();
  STORE(taken, 0u);
  memset(noted, 0, sizeof noted);
}

static intptr_t all_steps(void *arg) {
  (void)arg;
  thrum_event_clear(&event);
  forget_steps();
  yields_and_waits(thrum_current());
  is_preempted(thrum_current());
  blocks(thrum_current());
  waits_for_input();
  goes_on_behind_its_guest();
  __atomic_fetch_and(&thrumi_mode, ~(uint32_t)THRUMI_MODE_TRACE, __ATOMIC_SEQ_CST);
  CHECK(LOAD(taken) <= STEPS);
  return 0;
}

/* ---- With another worker ----------------------------------------------------------------------------------------- */

enum { PREY = 8 };
static int ran;

static intptr_t run_once(void *arg) {
  ADD(ran, 1);
  return (intptr_t)arg;
}

/* They lie on the queue of a worker whose thread computes, so another one must take them: by itself, or as they are offered to it. */
static intptr_t spawn_and_compute(void *arg) {
  thrum_thread prey[PREY];
  STORE(ran, 0);
  for (int i = 0; i < PREY; i++) prey[i] = must_spawn(run_once, NULL);
  while (LOAD(ran) < PREY) continue;
  for (int i = 0; i < PREY; i++) CHECK_EQ(must_join(prey[i]), 0); /* their steps are all there */
  return (intptr_t)arg;
}

static bool was_traced_to_steal(void) {
  uint32_t at = 0;
  forget_steps();
  CHECK_EQ(must_join(start(spawn_and_compute)), 0);
  __atomic_fetch_and(&thrumi_mode, ~(uint32_t)THRUMI_MODE_TRACE, __ATOMIC_SEQ_CST);
  if (!find(&at, THRUMI_EVENT_STEAL, 0, NULL)) return false;
  CHECK(steps[at - 1].object >= 1 && steps[at - 1].object <= PREY + 1); /* and who waits for them */
  return true;
}

int main(void) {
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
  thrumi_hooks.trace = note;
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(all_steps(NULL), 0);
  CHECK_EQ(must_join(must_spawn(all_steps, NULL)), 0);
  CHECK_EQ(thrum_set_workers(2), 0);
  AWAIT(was_traced_to_steal());
  CHECK(statistics().steals > 0);
  return 0;
}
