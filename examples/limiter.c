/* A rate limiter: passes lines on, at most so many a second.
 *
 *     limiter RATE [BURST [FILE...]]
 *
 * A thread for each file, or one for standard input, and one bucket of tokens for all: a line needs a token, RATE tokens
 * a second fall into the bucket, and BURST fit in, 1 unless said otherwise. It is full at the beginning. So in any span of
 * time no more lines pass than BURST plus what the rate allows. The lines of one file stay in order.
 *
 * The bucket is a bounded semaphore, which refuses a token too many; a ticker fills it. Ticks that the filler comes too late for
 * are not lost: it is told how many there were, and so a line may pass for a tick from before. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

enum { RATE_MAX = 1000000 };

struct limiter {
  thrum_sem tokens;
  thrum_ticker ticker;
  thrum_thread filler;
};

static struct limiter limiter;
static atomic_bool failed;

static intptr_t fill(void *arg) {
  struct limiter *l = arg;
  int64_t ticks;
  while ((ticks = thrum_ticker_wait(&l->ticker)) > 0) {
    while (ticks > 0 && thrum_sem_release(&l->tokens, 1) == 0) ticks--; /* until it is full */
  }
  return 0;
}

static int limiter_start(struct limiter *l, int rate, int burst) {
  *l = (struct limiter){.tokens = THRUM_SEM_BOUNDED_INIT(burst, burst)};
  int error = thrum_ticker_start(&l->ticker, THRUM_S(1) / rate);
  return error ? error : thrum_spawn_named(&l->filler, fill, l, "filler");
}

/* Waits for a token. */
static void limiter_take(struct limiter *l) { thrum_sem_acquire(&l->tokens); }

static void limiter_stop(struct limiter *l) {
  thrum_ticker_stop(&l->ticker);
  thrum_join(l->filler, NULL);
}

/* Reading may block: that costs a kernel thread, and no worker. */
static intptr_t pass_on(void *arg) {
  const char *name = arg;
  FILE *file = name ? fopen(name, "r") : stdin;
  char *line = NULL;
  size_t size = 0;
  while (file && getline(&line, &size, file) >= 0) {
    limiter_take(&limiter);
    thrum_print("%s%s", line, strchr(line, '\n') ? "" : "\n");
    fflush(stdout);
  }
  if (!file || ferror(file)) {
    fprintf(stderr, "limiter: %s: %s\n", name ? name : "standard input", strerror(errno));
    atomic_store(&failed, true);
  }
  free(line);
  if (file && name) fclose(file);
  return 0;
}

/* A whole number in 1..max, or 0. */
static int number(const char *text, long max) {
  char *end;
  long n = strtol(text, &end, 10);
  return end != text && *end == '\0' && n >= 1 && n <= max ? (int)n : 0;
}

int main(int argc, char **argv) {
  int rate = argc > 1 ? number(argv[1], RATE_MAX) : 0;
  int burst = argc > 2 ? number(argv[2], THRUM_SEM_MAX) : 1;
  int files = argc > 3 ? argc - 3 : 1;
  if (!rate || !burst) {
    fprintf(stderr, "usage: limiter RATE [BURST [FILE...]], the rate from 1 to %d lines a second\n",
            RATE_MAX);
    return 2;
  }
  thrum_thread *threads = calloc((size_t)files, sizeof *threads);
  int error = threads ? limiter_start(&limiter, rate, burst) : -ENOMEM;
  for (int i = 0; i < files && !error; i++)
    error = thrum_spawn_named(&threads[i], pass_on, argc > 3 ? argv[i + 3] : NULL, "file-%d", i);
  if (error) return fprintf(stderr, "limiter: %s\n", strerror(-error)), 1;
  for (int i = 0; i < files; i++) thrum_join(threads[i], NULL);
  limiter_stop(&limiter);
  free(threads);
  return atomic_load(&failed);
}
