/* A manager's client, inside: calls that threads make at the same time through one connection. See manager_client.c. */
#ifndef THRUMI_MANAGER_CLIENT_H
#define THRUMI_MANAGER_CLIENT_H

#include <errno.h>
#include <process/manager_wire.h>
#include <thrum/process/manager.h>
#include <thrum/sync.h>
#include <thrum/thread.h>

/* How a connection says that a manager was killed in the midst of something: it is gone, by one name. */
static inline int thrumi_manager_gone(int error) {
  return error == -EPIPE || error == -EBADMSG ? -ECONNRESET : error;
}

/* A call, on its caller's stack. From when it is in the table until `done` is set its reply is the reader's to write. */
struct thrumi_client_call {
  struct thrumi_client_call *next;
  struct thrumi_request_words words;
  bool shielded;    /* no cancellation point */
  bool has_end;     /* the server ends it at its time */
  thrum_event done; /* what follows is the caller's from then on */
  struct thrumi_reply_words reply;
  void *message; /* malloc's, to be freed by the caller; NULL: there was no reply, and */
  int error;     /* why */
  const unsigned char *payload;
  size_t payload_size;
};

enum { THRUMI_CALL_BUCKETS = 64 };

struct thrum_manager {
  thrum_conn *conn;
  struct thrumi_fork_slot *noted;
  char *address;
  thrum_duration patience;
  uint64_t message_max;
  uint32_t requests_max;
  uint32_t forks;
  thrum_lock lock; /* guards what follows */
  struct thrumi_client_call *calls[THRUMI_CALL_BUCKETS];
  uint32_t number, under_way, users;
  int error;       /* not 0: it is over, and why */
  thrum_cond idle; /* no users */
  thrum_thread reader;
  thrum_process *process; /* that was started; NULL: none */
  thrum_conn *control;    /* to it */
};

/* Makes a call whose words are set, and waits for its reply: its status, or an error of the call's own, and then there is no message. The
 * message is to be freed unless it is NULL. */
int thrumi_client_call(thrum_manager *m, struct thrumi_client_call *call);

/* manager_start.c: what the close does with the process. */
void thrumi_manager_end_process(thrum_manager *m);

#endif
