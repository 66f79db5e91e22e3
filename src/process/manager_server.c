/* A manager's server: its threads. One accepts, one keeps the time; of each session one reads and one writes; each call of a task has
 * one. All belong to one scope, which the accepting one has opened, and whose end is theirs. See manager.h. */
#include <core/parking.h>
#include <os/os.h>
#include <process/listener.h>
#include <process/manager.h>
#include <process/record.h>
#include <sched/servant.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>

enum { UNPROVED_MAX = 64, BREATH_MS = 10 };

/* ---- Replies -------------------------------------------------------------------------------------------------------------- */

/* The next reply, taken out; NULL: there is none. *ended: none will come. */
static struct thrumi_request *next_reply(struct thrumi_session *s, bool *ended) {
  struct thrumi_request *r = NULL;
  thrumi_server_enter(s->server);
  *ended = s->ended;
  if (!thrumi_ring_empty(&s->replies)) {
    r = THRUMI_RING_OWNER(s->replies.next, struct thrumi_request, in_session);
    thrumi_ring_remove(&r->in_session);
    s->under_way--;
  }
  thrumi_server_leave(s->server);
  return r;
}

static int send_reply(thrum_conn *c, const struct thrumi_reply_words *words, const void *bytes, size_t size,
                      thrum_duration timeout) {
  unsigned char head[THRUMI_REPLY_HEAD];
  struct iovec pieces[] = {{head, sizeof head}, {(void *)(uintptr_t)bytes, size}};
  thrumi_reply_write(head, words);
  return thrumi_conn_send_pieces(c, pieces, 2, timeout);
}

/* When a send fails the client has gone, or cannot be told anything any more. But it may have said something before, which the reader has
 * not come to: that a message has arrived. So the connection stays open until the reader has read to its end; further replies fail, too. */
static intptr_t write_replies(void *arg) {
  struct thrumi_session *s = (struct thrumi_session *)arg;
  for (bool ended = false; !ended;) {
    thrum_event_wait(&s->wake);
    thrum_event_clear(&s->wake);
    for (struct thrumi_request *r; (r = next_reply(s, &ended));) {
      const struct thrumi_blob *p = r->payload;
      send_reply(s->conn, &r->reply, p ? p->at : NULL, p ? p->size : 0, THRUM_FOREVER);
      thrumi_request_free(r);
    }
  }
  return 0;
}

/* ---- The beginning of a session ------------------------------------------------------------------------------------------- */

static int prove(struct thrumi_session *s, thrum_time deadline) {
  thrumi_server *server = s->server;
  if (!server->has_key) return thrumi_peer_is_kin(thrum_conn_fd(s->conn));
  return thrumi_authenticate(s->conn, THRUM_CONN_ACCEPTED, &server->connection, deadline);
}

static bool has_room(struct thrumi_session *s) {
  thrumi_server *server = s->server;
  thrumi_server_enter(server);
  s->proved = server->proved < server->options.clients;
  server->proved += s->proved;
  thrumi_server_leave(server);
  return s->proved;
}

static int greet(struct thrumi_session *s, int status, thrum_time deadline) {
  unsigned char takes[THRUMI_GREETING_SIZE];
  struct thrumi_reply_words words = {0, status, THRUMI_GREETING};
  thrumi_little_put(takes, s->server->options.message_max, 8);
  thrumi_little_put(takes + 8, THRUMI_REQUESTS_MAX, 4);
  int error = send_reply(s->conn, &words, takes, sizeof takes, thrum_left(deadline));
  return error ? error : status;
}

static int hear_hello(struct thrumi_session *s, thrum_time deadline) {
  unsigned char message[THRUMI_REQUEST_HEAD];
  struct thrumi_request_words w = {0};
  struct thrumi_reply_words refusal = {0, -EPROTONOSUPPORT, 0};
  ssize_t n = thrum_conn_recv_for(s->conn, message, sizeof message, thrum_left(deadline));
  int error = n < 0 ? (int)n : thrumi_request_read(&w, message, (size_t)n);
  if (!error && w.operation != THRUMI_OP_HELLO) error = -EPROTO;
  if (error || w.argument == THRUMI_GREETING) return error;
  send_reply(s->conn, &refusal, NULL, 0, thrum_left(deadline));
  return refusal.status;
}

static int begin(struct thrumi_session *s) {
  thrum_time deadline = thrum_after(s->server->connection.patience);
  thrumi_keep_alive(thrum_conn_fd(s->conn));
  int error = prove(s, deadline);
  if (error && s->server->has_key) return error; /* which it has been told */
  if (!error && !has_room(s)) error = -EUSERS;
  error = greet(s, error, deadline);
  return error ? error : hear_hello(s, deadline);
}

/* ---- A session ------------------------------------------------------------------------------------------------------------ */

static void read_requests(struct thrumi_session *s) {
  size_t limit = s->server->options.message_max + THRUMI_REQUEST_HEAD + THRUM_MANAGER_KEY_MAX;
  void *message;
  size_t size;
  int error;
  do {
    error = thrum_conn_recv_new(s->conn, &message, &size, limit);
    if (!error) error = thrumi_request_arrive(s, message, size);
  } while (!error);
}

static void give_place_back(thrumi_server *server, bool proved) {
  thrumi_server_enter(server);
  server->session_count--;
  server->proved -= proved;
  thrumi_server_leave(server);
}

static void free_session(struct thrumi_session *s) {
  give_place_back(s->server, s->proved);
  thrumi_manager_forget(s->noted);
  thrumi_manager_hang_up(s->conn);
  thrum_conn_close(s->conn);
  thrumi_os.free(s);
}

static void end(struct thrumi_session *s, thrum_thread writer) {
  thrumi_server_enter(s->server);
  thrumi_requests_end(s);
  thrumi_server_leave(s->server);
  thrum_event_set(&s->wake);
  thrumi_manager_hang_up(s->conn);
  thrum_join(writer, NULL);
}

static intptr_t attend(void *arg) {
  struct thrumi_session *s = (struct thrumi_session *)arg;
  thrum_thread writer;
  int error = begin(s);
  if (!error) error = thrumi_servant_in(s->server->scope, &writer, write_replies, s, "manager-writer");
  if (!error) {
    read_requests(s);
    end(s, writer);
  }
  free_session(s);
  return 0;
}

/* Too many that have not proved themselves are sent away without a word. */
static bool may_begin(thrumi_server *server) {
  thrumi_server_enter(server);
  bool may = server->session_count < server->options.clients + UNPROVED_MAX;
  server->session_count += may;
  thrumi_server_leave(server);
  return may;
}

static void begin_session(thrumi_server *server, thrum_conn *c) {
  bool may = may_begin(server);
  struct thrumi_session *s = may ? thrumi_os.allocate(sizeof *s) : NULL;
  if (!s) {
    if (may) give_place_back(server, false);
    thrum_conn_close(c);
    return;
  }
  s->server = server;
  s->conn = c;
  s->noted = thrumi_manager_note(thrum_conn_fd(c));
  thrumi_ring_init(&s->requests);
  thrumi_ring_init(&s->replies);
  thrumi_ring_init(&s->flight);
  thrumi_ring_init(&s->held);
  if (thrumi_servant_in(server->scope, NULL, attend, s, "manager-session") != 0) free_session(s);
}

/* ---- The server ----------------------------------------------------------------------------------------------------------- */

static void accept_all(thrumi_server *server) {
  for (thrum_conn *c;;) {
    int error = thrum_listener_accept(server->listener, &c);
    if (error == -ECANCELED || error == -EBADF) break;
    if (error)
      thrum_sleep(THRUM_MS(BREATH_MS)); /* no descriptors, no memory: until some are given back */
    else
      begin_session(server, c);
  }
}

static intptr_t serve(void *arg) {
  thrumi_server *server = (thrumi_server *)arg;
  thrum_scope scope;
  thrum_scope_open(&scope, NULL);
  server->scope = &scope;
  server->error = thrumi_servant_in(&scope, NULL, thrumi_server_clock, server, "manager-clock");
  thrum_event_set(&server->started);
  if (!server->error) accept_all(server);
  thrum_scope_cancel(&scope);
  thrum_scope_close(&scope);
  return 0;
}

static void free_server(thrumi_server *server) {
  thrumi_manager_forget(server->noted);
  thrum_listener_close(server->listener);
  thrumi_objects_end(server);
  free(server->heap);
  thrumi_manager_options_free(server);
  thrumi_os.free(server);
}

static int start(thrumi_server *server) {
  thrum_options o = thrumi_servant("manager", THRUM_YES);
  int error = thrum_listener_open(&server->listener, server->options.address, NULL);
  if (error) return error;
  server->noted = thrumi_manager_note(thrum_listener_fd(server->listener));
  error = thrum_spawn_with(&server->thread, &o, serve, server);
  if (error) return error;
  thrum_event_wait(&server->started);
  if (server->error) thrum_join(server->thread, NULL);
  return server->error;
}

int thrum_manager_serve(thrum_manager_server **out, const thrum_manager_options *options) {
  if (!out) return -EINVAL;
  thrumi_server *server = thrumi_os.allocate(sizeof *server);
  if (!server) return -ENOMEM;
  thrumi_ends_start();
  server->forks = thrumi_forks;
  if (getrandom(&server->seed, sizeof server->seed, 0) < 0) server->seed = (uint64_t)thrum_now();
  int error = thrumi_manager_options_copy(server, options);
  if (!error) error = start(server);
  if (error)
    free_server(server);
  else
    *out = server;
  return error;
}

const char *thrum_manager_server_address(const thrum_manager_server *server) {
  return server ? thrum_listener_address(server->listener) : NULL;
}

/* In the child of a fork there is nobody to be stopped: what the threads had is left as it is. */
void thrum_manager_server_stop(thrum_manager_server *server) {
  if (!server) return;
  if (server->forks != thrumi_forks) {
    thrum_listener_close(server->listener);
    return;
  }
  thrum_cancel(server->thread);
  thrum_join(server->thread, NULL);
  free_server(server);
}
