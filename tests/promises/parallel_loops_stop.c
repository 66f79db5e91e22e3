/* A parallel loop returns the failure of the lowest index that fails, as a plain loop does, and does not begin what lies above once it
 * is known. One whose caller is cancelled begins nothing more, waits for what has begun, and says so unless all was done. */
#include "../stress/random.h"
#include "../support.h"

enum { N = 20000, ROUNDS = TESTS_SANITIZED ? 10 : 50 };

static uint8_t ran[N];
static int begun;

static void spend(uint64_t loops) {
  while (loops--) __asm__ volatile("");
}

/* ---- Failures -------------------------------------------------------------------------------------------- */

static bool fails(uint64_t seed, size_t i) { return mix(seed + i) % 2000 == 0; }

static int error_of(size_t i) { return -(int)(1 + i % 1000); }

static int fail_here_and_there(size_t begin, size_t end, void *arg) {
  uint64_t seed = *(uint64_t *)arg;
  for (size_t i = begin; i < end; i++) {
    ADD(ran[i], 1);
    spend(i % 100 == 0 ? 20000 : 10);
    if (fails(seed, i)) return error_of(i);
  }
  return 0;
}

static intptr_t lowest_failure(void *arg) {
  uint64_t seed = (uint64_t)(intptr_t)arg;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t which = draw_any(&seed);
    size_t lowest = 0;
    while (lowest < N && !fails(which, lowest)) lowest++;
    memset(ran, 0, sizeof ran);
    CHECK_EQ(thrum_parallel_for(0, N, fail_here_and_there, &which), lowest < N ? error_of(lowest) : 0);
    for (size_t i = 0; i < N; i++) CHECK(i <= lowest ? ran[i] == 1 : ran[i] <= 1);
  }
  return 0;
}

/* The piece with index 100 fails, when it has been done: whatever does not begin is left out because of it. */
static int fail_at_100(size_t begin, size_t end, void *arg) {
  spend(3000 * (end - begin));
  ADD(begun, (int)(end - begin));
  if (begin > 100 || end <= 100) return 0;
  *(size_t *)arg = end;
  return -EXDEV;
}

/* arg: nobody can help. (A foreign caller holds no worker, so that even one can.) */
static intptr_t above_does_not_begin(void *arg) {
  int left_out = 0;
  for (int i = 0; i < 5 || (left_out == 0 && i < 50); i++) {
    size_t end = 0;
    STORE(begun, 0);
    CHECK_EQ(thrum_parallel_for(0, N, fail_at_100, &end), -EXDEV);
    left_out += LOAD(begun) < N;
    if (arg) CHECK_EQ(LOAD(begun), (int)end); /* nobody else: nothing begins behind it */
  }
  CHECK(left_out > 0); /* a helper may have done all the rest before, but not each time */
  return 0;
}

/* Success is what is not negative. */
static int positive(size_t begin, size_t end, void *arg) {
  ADD(*(int *)arg, (int)(end - begin));
  return 1;
}

/* ---- Cancellation -------------------------------------------------------------------------------------------- */

enum when { BEFORE, BETWEEN, TOO_LATE };
enum where {
  ALONE,     /* the thread is cancelled */
  IN_SCOPE,  /* the scope that it has open is */
  IN_TIME,   /* ... by its deadline */
  IN_MEMBER, /* the scope that it belongs to, by a failure */
  IN_SHIELD, /* it is, in vain */
  PLACES
};

struct loop {
  enum when when;
  enum where where;
  thrum_scope *scope;
  thrum_thread caller;
  int inside;
  bool cancelled, finished;
};

static int cancelled; /* loops */

static void cancel_caller(struct loop *l) {
  switch (l->where) {
  case IN_SCOPE: thrum_scope_cancel(l->scope); break;
  case IN_TIME:
    thrum_scope_set_deadline(l->scope, thrum_now());
    AWAIT(thrum_scope_cancelled(l->scope));
    break;
  case IN_MEMBER: CHECK_EQ(thrum_scope_fail(l->scope, -EPROTO, "a failure of another"), -EPROTO); break;
  default: CHECK_EQ(thrum_cancel(l->caller), 0);
  }
  STORE(l->cancelled, true);
}

static int piece(size_t begin, size_t end, void *arg) {
  struct loop *l = arg;
  bool mine = thrum_same(thrum_current(), l->caller);
  ADD(l->inside, 1);
  ADD(begun, (int)(end - begin));
  CHECK(!LOAD(l->finished));
  if (l->when == BETWEEN && mine && !LOAD(l->cancelled)) cancel_caller(l);
  if (l->when == TOO_LATE && end == N) cancel_caller(l);
  spend(2000);
  ADD(l->inside, -1);
  return 0;
}

static int cancelled_loop(struct loop *l) {
  if (l->when == BEFORE) cancel_caller(l);
  int error = thrum_parallel_for(l->when == TOO_LATE ? N - 1 : 0, N, piece, l);
  STORE(l->finished, true);
  CHECK_EQ(LOAD(l->inside), 0);
  return error;
}

static int loop_in_scope(struct loop *l) {
  int error = -EINVAL, status = -EINVAL;
  THRUM_SCOPE(s, .status = &status) {
    l->scope = &s;
    error = cancelled_loop(l);
  }
  CHECK_EQ(status, l->where == IN_TIME ? -ETIMEDOUT : 0);
  return error;
}

static intptr_t loop_of_member(void *arg) {
  struct loop *l = arg;
  l->caller = thrum_current();
  return cancelled_loop(l);
}

static int loop_in_member(struct loop *l) {
  thrum_thread t;
  intptr_t error = -EINVAL;
  int status = -EINVAL;
  THRUM_SCOPE(s, .status = &status) {
    l->scope = &s;
    CHECK_EQ(thrum_scope_spawn(&s, &t, loop_of_member, l), 0);
    CHECK_EQ(thrum_join(t, &error), 0);
  }
  CHECK_EQ(status, -EPROTO);
  return (int)error;
}

static int loop_in_shield(struct loop *l) {
  int error = -EINVAL;
  THRUM_SHIELD(0) { error = cancelled_loop(l); }
  CHECK_EQ(LOAD(begun), l->when == TOO_LATE ? 1 : N);
  return error;
}

static intptr_t run_loop(void *arg) {
  struct loop *l = arg;
  l->caller = thrum_current();
  STORE(begun, 0);
  int error = l->where == IN_SHIELD   ? loop_in_shield(l)
              : l->where == IN_MEMBER ? loop_in_member(l)
              : l->where == ALONE     ? cancelled_loop(l)
                                      : loop_in_scope(l);
  bool stops = l->where != IN_SHIELD;
  if (stops && l->when == BEFORE) CHECK_EQ(LOAD(begun), 0);
  if (stops && l->when == BETWEEN && thrum_workers() == 1) CHECK_EQ(LOAD(begun), 1);
  /* A helper may have done all the rest before the caller gets to look. */
  bool all = l->when == TOO_LATE || LOAD(begun) == N;
  CHECK_EQ(error, all ? 0 : -ECANCELED);
  if (error) ADD(cancelled, 1);
  return 0;
}

/* ---- All ------------------------------------------------------------------------------------------------------- */

int main(void) {
  alarm(TESTS_HANG_S * 4);
  for (int i = 1; i <= 3; i++) run_in_each_kind(lowest_failure, (void *)(intptr_t)i);
  run_in_each_kind(above_does_not_begin, NULL);
  if (thrum_workers() == 1) CHECK_EQ(must_join(must_spawn(above_does_not_begin, &begun)), 0);
  int count = 0;
  CHECK_EQ(thrum_parallel_for(0, 100, positive, &count), 0);
  CHECK_EQ(count, 100);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < 3 * PLACES; i++) {
      struct loop l = {.when = (enum when)(i % 3), .where = (enum where)(i / 3)};
      CHECK_EQ(must_join(must_spawn(run_loop, &l)), 0);
    }
  }
  CHECK(LOAD(cancelled) > 2 * ROUNDS); /* not only BEFORE */
  return 0;
}
