/* Publish and subscribe: topics, and what becomes of subscribers that are too slow.
 *
 *     pubsub [MESSAGES]
 *
 * Each subscriber has a queue with few places, so a slow one cannot eat up the memory. Its policy says what happens when
 * the queue is full: the publisher waits; or the new message is dropped; or the oldest one; or the subscriber is cut
 * off, which it learns when it has got what was there. A publisher that waits holds up all subscribers of the topic: that is what
 * the other three are for.
 *
 * Here MESSAGES numbers, 1000 unless said otherwise, are published under one topic to a subscriber of each kind, and one
 * word under another. All but the one who is waited for sleep until all is published. What each of them got is printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

enum policy { WAIT, DROP_NEW, DROP_OLD, CUT_OFF };
static const char *const policies[] = {"wait", "drop the new", "drop the old", "cut off"};

enum { PLACES = 8 };

struct message {
  int number;
};

struct subscriber {
  enum policy policy;
  thrum_queue inbox;
  long dropped; /* the publisher's; read once the topic is closed */
  struct subscriber *next;
};

/* Its lock is held while a message is passed to all, so all get the messages in one order. */
struct topic {
  const char *name;
  thrum_lock lock;
  struct subscriber *first;
};

static int subscribe(struct topic *topic, struct subscriber *s, enum policy policy) {
  *s = (struct subscriber){.policy = policy};
  int error = thrum_queue_init(&s->inbox, sizeof(struct message), PLACES, NULL);
  if (error) return error;
  THRUM_LOCKED(&topic->lock) {
    s->next = topic->first;
    topic->first = s;
  }
  return 0;
}

/* The queue is full. The subscriber may have made room meanwhile, which is as good. */
static int make_room(struct subscriber *s, const struct message *m) {
  struct message oldest;
  int error;
  do s->dropped += thrum_queue_try_get(&s->inbox, &oldest) == 0;
  while ((error = thrum_queue_try_put(&s->inbox, m)) == -EAGAIN);
  return error;
}

static void deliver(struct subscriber *s, const struct message *m) {
  int error = thrum_queue_try_put(&s->inbox, m);
  if (error == -EAGAIN && s->policy == WAIT) error = thrum_queue_put(&s->inbox, m);
  if (error == -EAGAIN && s->policy == DROP_OLD) error = make_room(s, m);
  if (error == -EAGAIN && s->policy == CUT_OFF) thrum_queue_shutdown(&s->inbox, false);
  s->dropped += error != 0; /* also for who has been cut off: -EPIPE */
}

static void publish(struct topic *topic, const struct message *m) {
  THRUM_LOCKED(&topic->lock) {
    for (struct subscriber *s = topic->first; s; s = s->next) deliver(s, m);
  }
}

/* No more messages: each subscriber gets what it has, and then -EPIPE. */
static void close_topic(struct topic *topic) {
  THRUM_LOCKED(&topic->lock) {
    for (struct subscriber *s = topic->first; s; s = s->next) thrum_queue_shutdown(&s->inbox, false);
  }
}

/* ---- The demonstration -------------------------------------------------------------------------------- */

static struct topic numbers = {.name = "numbers"}, words = {.name = "words"};
static thrum_event all_published;

struct reader {
  struct subscriber subscriber;
  thrum_thread thread;
  long got, first, last;
  bool in_order, cut_off;
};

static intptr_t read_all(void *arg) {
  struct reader *r = arg;
  struct message m;
  if (r->subscriber.policy != WAIT) thrum_event_wait(&all_published);
  for (r->in_order = true; thrum_queue_get(&r->subscriber.inbox, &m) == 0; r->got++) {
    if (r->got == 0) r->first = m.number;
    r->in_order = r->in_order && m.number > r->last;
    r->last = m.number;
  }
  return 0;
}

static int start(struct reader *r, struct topic *topic, enum policy policy) {
  int error = subscribe(topic, &r->subscriber, policy);
  return error ? error : thrum_spawn_named(&r->thread, read_all, r, "%s-%s", topic->name, policies[policy]);
}

static void finish(struct reader *r, const char *topic) {
  thrum_join(r->thread, NULL);
  printf("%-8s %-14s %6ld got, from %ld to %ld, %s, %ld dropped%s\n", topic, policies[r->subscriber.policy],
         r->got, r->first, r->last, r->in_order ? "in order" : "out of order", r->subscriber.dropped,
         r->cut_off ? ", cut off" : "");
  thrum_queue_destroy(&r->subscriber.inbox);
}

int main(int argc, char **argv) {
  static struct reader readers[CUT_OFF + 1], other;
  int messages = argc > 1 ? atoi(argv[1]) : 1000, error = start(&other, &words, DROP_NEW);
  if (messages < 1) return fprintf(stderr, "usage: pubsub [MESSAGES], 1 or more\n"), 2;
  for (int policy = WAIT; policy <= CUT_OFF && !error; policy++)
    error = start(&readers[policy], &numbers, (enum policy)policy);
  if (error) return fprintf(stderr, "pubsub: %s\n", strerror(-error)), 1;

  for (struct message m = {1}; m.number <= messages; m.number++) publish(&numbers, &m);
  for (int policy = WAIT; policy <= CUT_OFF; policy++)
    readers[policy].cut_off = thrum_queue_is_shutdown(&readers[policy].subscriber.inbox);
  publish(&words, &(struct message){42});
  close_topic(&numbers);
  close_topic(&words);
  thrum_event_set(&all_published);
  for (int policy = WAIT; policy <= CUT_OFF; policy++) finish(&readers[policy], numbers.name);
  finish(&other, words.name);
  return 0;
}
