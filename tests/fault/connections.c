/* The step of the workload that sends messages: over a pair, and to one who listens. */
#include "../support.h"

#include "workload.h"

#include <errno.h>

static int send_and_receive(thrum_conn *from, thrum_conn *to) {
  char room[8];
  int error = thrum_conn_send(from, "message", 7);
  ssize_t n = error ? error : thrum_conn_recv(to, room, sizeof room);
  return n == 7 ? 0 : (int)n;
}

/* For so many that the room for them is allocated. */
static int wait_for_many(thrum_conn *c) {
  thrum_conn_item items[20];
  for (int i = 0; i < 20; i++) items[i] = (thrum_conn_item){c, -1, false};
  int error = thrum_conn_wait_many_for(items, 20, 0);
  return error == -ETIMEDOUT ? 0 : error;
}

static int over_a_pair(void) {
  thrum_conn *end[2];
  int error = thrum_conn_pair(end);
  if (error) return error;
  error = wait_for_many(end[1]);
  if (!error) error = send_and_receive(end[0], end[1]);
  if (!error) error = send_and_receive(end[1], end[0]);
  thrum_conn_close(end[0]);
  thrum_conn_close(end[1]);
  return error;
}

static int over_a_listener(void) {
  thrum_conn *here = NULL, *there = NULL;
  thrum_listener *l;
  int error = thrum_listener_open(&l, "tcp:127.0.0.1:0", NULL);
  if (error) return error;
  error = thrum_conn_dial(&here, thrum_listener_address(l), NULL);
  if (!error) error = thrum_listener_accept(l, &there);
  if (!error) error = send_and_receive(here, there);
  thrum_conn_close(here);
  thrum_conn_close(there);
  thrum_listener_close(l);
  return error;
}

int workload_messages(void) {
  int error = over_a_pair();
  return error ? error : over_a_listener();
}
