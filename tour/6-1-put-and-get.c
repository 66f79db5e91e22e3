/* A producer and two consumers
 *
 * One thread has work, others do it, and a queue lies between them, so that neither needs to know of the other. It has
 * three places: the producer waits in put while all are taken, and a consumer waits in get while none is. Each
 * consumer says task_done when it has done what it got, and not when it has got it; so main, which joins the queue, goes
 * on when the work is done. The consumers wait for more then. In Python they are daemons, or are sent a None each; here the
 * queue is shut down, and get says so to all of them. */
#include <thrum.h>

enum { JOBS = 12, CONSUMERS = 2 };

static thrum_queue jobs = THRUM_QUEUE_INIT(int, 3);

static intptr_t produce(void *arg) {
  (void)arg;
  for (int job = 0; job < JOBS; job++) {
    thrum_queue_put(&jobs, &job);
    thrum_print("put %d\n", job);
  }
  return 0;
}

/* Returns how many it has done. */
static intptr_t consume(void *arg) {
  (void)arg;
  int job, done = 0;
  while (thrum_queue_get(&jobs, &job) == 0) {
    thrum_sleep(THRUM_MS(5)); /* does it */
    thrum_print("\t%s has done %d\n", thrum_current_name(), job);
    done++;
    thrum_queue_task_done(&jobs);
  }
  return done;
}

int main(void) {
  thrum_thread producer, consumers[CONSUMERS] = {0};
  thrum_spawn_named(&producer, produce, NULL, "producer");
  for (int i = 0; i < CONSUMERS; i++) thrum_spawn_named(&consumers[i], consume, NULL, "consumer-%d", i);

  thrum_join(producer, NULL);
  thrum_print("all are put, %zu not done yet\n", thrum_queue_unfinished(&jobs));
  thrum_queue_join(&jobs);
  thrum_print("all are done, and %zu consumers wait for more\n", thrum_active_count() - 1);
  thrum_queue_shutdown(&jobs, false);

  intptr_t done = 0, sum = 0;
  for (int i = 0; i < CONSUMERS; i++) {
    thrum_join(consumers[i], &done);
    sum += done;
  }
  thrum_print("*** DONE! *** %d of %d\n", (int)sum, JOBS);
  return 0;
}
