/* Several queues at once
 *
 * A thread that waits in one queue is deaf for all others. Python's remedies are a short timeout for each in turn, or one
 * queue for everything. thrum_select waits for many things at once, of which exactly one happens: an item from here,
 * room for one there, an event, the end of a thread, a span of time. Below, a news desk listens to three reporters,
 * each with a queue of its own; two of them end. The third has nothing more to say and does not end, so the desk is
 * patient for so long and then closes. */
#include <thrum.h>

enum { REPORTERS = 3, STORIES = 4 };

static thrum_queue queues[REPORTERS] = {THRUM_QUEUE_INIT(int, 1), THRUM_QUEUE_INIT(int, 1),
                                        THRUM_QUEUE_INIT(int, 1)};
static const char *const towns[REPORTERS] = {"Oslo", "Lima", "Kyoto"};
static thrum_event desk_is_closed;

static intptr_t report(void *arg) {
  int i = *(int *)arg;
  for (int story = 1; story <= STORIES; story++) {
    thrum_sleep(THRUM_MS(1) * (i + 1));
    thrum_queue_put(&queues[i], &story);
  }
  if (i == 2) thrum_event_wait(&desk_is_closed);
  thrum_queue_shutdown(&queues[i], false);
  return 0;
}

int main(void) {
  thrum_thread reporters[REPORTERS] = {0};
  thrum_case cases[REPORTERS + 1];
  int story, stories = 0, chosen;
  for (int i = 0; i < REPORTERS; i++) thrum_spawn_copy(&reporters[i], report, &i, sizeof i);
  for (int i = 0; i < REPORTERS; i++) cases[i] = thrum_case_get(&queues[i], &story);
  cases[REPORTERS] = thrum_case_after(THRUM_MS(200)); /* of silence: it counts anew in each select */

  while ((chosen = thrum_select(cases, REPORTERS + 1)) < REPORTERS) {
    if (cases[chosen].status == -EPIPE) {
      thrum_print("%s has ended\n", towns[chosen]);
      cases[chosen] = (thrum_case){0}; /* never happens: left out from now on */
    } else {
      thrum_print("%s: story %d\n", towns[chosen], story);
      stories++;
    }
  }
  thrum_print("silence; the desk closes with %d of %d stories\n", stories, REPORTERS * STORIES);
  thrum_event_set(&desk_is_closed);
  for (int i = 0; i < REPORTERS; i++)
    thrum_queue_shutdown(&queues[i], true); /* who still has a story keeps it */
  for (int i = 0; i < REPORTERS; i++) thrum_join(reporters[i], NULL);
  return 0;
}
