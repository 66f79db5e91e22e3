/* A parallel reduction is what a plain loop would have made, where combining is associative and nothing else; and each accumulator is
 * combined exactly once, also when a fold fails. */
#include "../stress/random.h"
#include "../support.h"

enum { ROUNDS = TESTS_SANITIZED ? 10 : 40 };

static void spend(uint64_t loops) {
  while (loops--) __asm__ volatile("");
}

/* ---- Strings that are joined, with memory of their own ---------------------------------------------------------------- */

struct text {
  char *bytes;
  size_t size;
};

static int texts; /* that own memory */

static void append(struct text *t, const char *bytes, size_t size) {
  if (!t->bytes) ADD(texts, 1);
  t->bytes = (char *)realloc(t->bytes, t->size + size + 1);
  memcpy(t->bytes + t->size, bytes, size);
  t->size += size;
  t->bytes[t->size] = 0;
}

struct words {
  uint64_t seed;
  size_t fails_at; /* SIZE_MAX: nowhere */
  uint64_t heavy;  /* one index in so many takes long */
};

static void append_word(struct text *t, size_t i) {
  char word[32];
  append(t, word, (size_t)snprintf(word, sizeof word, "%zu,", i));
}

static int fold_words(size_t begin, size_t end, void *accumulator, void *arg) {
  const struct words *w = arg;
  struct text *t = accumulator;
  for (size_t i = begin; i < end; i++) {
    if (i == w->fails_at) return -EDOM;
    uint64_t luck = mix(w->seed + i);
    spend(luck % w->heavy == 0 ? 100000 : luck % 64);
    if (luck % 199 == 0) thrum_yield();
    append_word(t, i);
  }
  return 0;
}

static void join_words(void *left, void *right, void *arg) {
  (void)arg;
  struct text *l = left, *r = right;
  spend(1000);
  if (r->bytes) {
    append(l, r->bytes, r->size);
    free(r->bytes);
    ADD(texts, -1);
  }
  memset(r, 0x5a, sizeof *r);
}

static const thrum_reduction joining = {sizeof(struct text), NULL, fold_words, join_words};

static void drop(struct text *t) {
  if (t->bytes) ADD(texts, -1);
  free(t->bytes);
  CHECK_EQ(LOAD(texts), 0); /* each of the others was combined once */
}

static intptr_t join_strings(void *arg) {
  uint64_t seed = (uint64_t)(intptr_t)arg;
  for (int round = 0; round < ROUNDS; round++) {
    struct words w = {draw_any(&seed), SIZE_MAX, round % 2 ? 50 : 1000};
    size_t begin = (size_t)draw(&seed, 100),
           n = round % 5 ? (size_t)draw(&seed, 3000) : (size_t)draw(&seed, 4);
    struct text expected = {0}, got;
    memset(&got, 0x77, sizeof got);
    CHECK_EQ(thrum_parallel_reduce(begin, begin + n, &joining, &w, &got), 0);
    CHECK_EQ(LOAD(texts), got.bytes != NULL);
    for (size_t i = begin; i < begin + n; i++) append_word(&expected, i);
    CHECK_EQ(got.size, expected.size);
    if (n) CHECK_STR(got.bytes, expected.bytes);
    if (expected.bytes) ADD(texts, -1);
    free(expected.bytes);
    drop(&got);
  }
  return 0;
}

/* What was folded is in the result, in order, and all that lies below the failure is. */
static intptr_t fail_midway(void *arg) {
  uint64_t seed = (uint64_t)(intptr_t)arg;
  for (int round = 0; round < ROUNDS; round++) {
    size_t n = 1 + (size_t)draw(&seed, 3000);
    struct words w = {draw_any(&seed), (size_t)draw(&seed, (int)n), 100};
    struct text got, below = {0};
    CHECK_EQ(thrum_parallel_reduce(0, n, &joining, &w, &got), -EDOM);
    for (size_t i = 0; i < w.fails_at; i++) append_word(&below, i);
    if (below.bytes) {
      CHECK(got.size >= below.size && memcmp(got.bytes, below.bytes, below.size) == 0);
      ADD(texts, -1);
      free(below.bytes);
    }
    long last = -1;
    for (char *at = got.bytes; at && *at; at++) {
      long number = strtol(at, &at, 10);
      CHECK(number > last && number < (long)n);
      last = number;
    }
    drop(&got);
  }
  return 0;
}

/* ---- Affine maps, which do not commute, with an identity and a large accumulator ---------------------------------------- */

struct map {
  uint64_t factor, term;
  char rest[1000]; /* as it was in the identity */
};

static void follow(struct map *m, uint64_t factor, uint64_t term) { /* m, then x -> factor * x + term */
  m->factor *= factor;
  m->term = m->term * factor + term;
}

static int fold_maps(size_t begin, size_t end, void *accumulator, void *arg) {
  (void)arg;
  CHECK_EQ((uintptr_t)accumulator % _Alignof(max_align_t), 0);
  for (size_t i = begin; i < end; i++) follow(accumulator, mix(i) | 1, mix(i + 77));
  return 0;
}

static void chain(void *left, void *right, void *arg) {
  CHECK(arg == NULL);
  struct map *r = right;
  for (size_t i = 0; i < sizeof r->rest; i++) CHECK_EQ(r->rest[i], 3);
  follow(left, r->factor, r->term);
}

static intptr_t chain_maps(void *arg) {
  (void)arg;
  static struct map identity = {.factor = 1};
  memset(identity.rest, 3, sizeof identity.rest);
  thrum_reduction how = {sizeof(struct map), &identity, fold_maps, chain};
  for (size_t n = 0; n < 3000000; n = n * 3 + 1) {
    _Alignas(max_align_t) struct map got, expected = identity;
    CHECK_EQ(thrum_parallel_reduce(10, 10 + n, &how, NULL, &got), 0);
    fold_maps(10, 10 + n, &expected, NULL);
    CHECK_EQ(memcmp(&got, &expected, sizeof got), 0);
  }
  return 0;
}

int main(void) {
  alarm(TESTS_HANG_S * 4);
  for (int i = 1; i <= 3; i++) run_in_each_kind(join_strings, (void *)(intptr_t)i);
  for (int i = 1; i <= 3; i++) run_in_each_kind(fail_midway, (void *)(intptr_t)i);
  run_in_each_kind(chain_maps, NULL);
  return 0;
}
