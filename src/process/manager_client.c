/* A manager's client: the connection, and calls through it.
 *
 * One connection for all threads of a client, not one for each, nor a pool: what a client holds is given back when its connection ends,
 * and there is only one end then; a thousand light threads that wait cost the manager a thousand small records and no descriptors. So
 * requests have numbers, and one thread, the reader, receives all replies, and hands each to the call that waits for it.
 *
 * The reader sends nothing, so it always goes on receiving, and the server, whose reader does the same, always goes on as well: neither
 * end can block the other by being full.
 *
 * A call always learns what has become of it. It leaves its time to the server; when it is cancelled it tells the server, and waits for
 * the answer: which is that it was cancelled, or that it was done just before. Only if that does not come within the patience is the
 * connection given up, and with it all calls. So a call that says -ECANCELED or -ETIMEDOUT has done nothing, no reply is ever left over,
 * and nothing that came with one is lost.
 *
 * A get acknowledges its message before it returns, in its own thread; if it cannot it says so, and has no message.
 *
 * In the child of a fork there is no reader, and the connection is the parent's: -ECHILD. */
#include <core/parking.h>
#include <core/sanitize.h>
#include <io/attempt.h>
#include <os/os.h>
#include <process/listener.h>
#include <process/manager.h>
#include <process/manager_client.h>
#include <process/record.h>
#include <sched/servant.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* ---- The table of calls ----------------------------------------------------------------------------------------------------- */

static struct thrumi_client_call **bucket_of(thrum_manager *m, uint32_t number) {
  return &m->calls[number % THRUMI_CALL_BUCKETS];
}

/* Takes the call with that number out. NULL: there is none. Under the lock. */
static struct thrumi_client_call *take(thrum_manager *m, uint32_t number) {
  struct thrumi_client_call **at = bucket_of(m, number), *call;
  while ((call = *at) && call->words.number != number) at = &call->next;
  if (call) *at = call->next, m->under_way--;
  return call;
}

/* Gives it a number that no call under way has: they are fewer than numbers, and are passed over. */
static int enter(thrum_manager *m, struct thrumi_client_call *call) {
  int error = 0;
  thrum_lock_acquire(&m->lock);
  if (m->error) error = m->error;
  if (!error && m->under_way >= m->requests_max) error = -EAGAIN;
  if (!error) {
    bool taken = true;
    while (taken) {
      call->words.number = ++m->number;
      const struct thrumi_client_call *other = *bucket_of(m, call->words.number);
      while (other && other->words.number != call->words.number) other = other->next;
      taken = other || !call->words.number;
    }
    struct thrumi_client_call **at = bucket_of(m, call->words.number);
    call->next = *at;
    *at = call;
    m->under_way++;
    m->users++;
  }
  thrum_lock_release(&m->lock);
  return error;
}

static void leave(thrum_manager *m) {
  thrum_lock_acquire(&m->lock);
  if (--m->users == 0) thrum_cond_notify_all(&m->idle);
  thrum_lock_release(&m->lock);
}

/* ---- The reader ------------------------------------------------------------------------------------------------------------- */

/* It is over from here on; calls are told so by the reader. What ended it first counts. */
static void end(thrum_manager *m, int error) {
  thrum_lock_acquire(&m->lock);
  if (!m->error) m->error = error;
  thrum_lock_release(&m->lock);
  thrumi_manager_hang_up(m->conn);
}

/* Who waits may see `done` while it is still being set; it takes the lock before it goes. */
static int deliver(thrum_manager *m, void *message, size_t size) {
  struct thrumi_reply_words words;
  int error = thrumi_reply_read(&words, message, size);
  thrum_lock_acquire(&m->lock);
  struct thrumi_client_call *call = error ? NULL : take(m, words.number);
  if (call) {
    call->reply = words;
    call->message = message;
    call->payload = (const unsigned char *)message + THRUMI_REPLY_HEAD;
    call->payload_size = size - THRUMI_REPLY_HEAD;
    thrumi_announce(call);
    thrum_event_set(&call->done);
  }
  thrum_lock_release(&m->lock);
  if (!call) free(message);
  return call ? 0 : -EPROTO;
}

static void fail_all(thrum_manager *m) {
  thrum_lock_acquire(&m->lock);
  for (int i = 0; i < THRUMI_CALL_BUCKETS; i++) {
    for (struct thrumi_client_call *call; (call = m->calls[i]);) {
      m->calls[i] = call->next;
      m->under_way--;
      call->error = m->error;
      thrum_event_set(&call->done);
    }
  }
  thrum_lock_release(&m->lock);
}

static intptr_t read_replies(void *arg) {
  thrum_manager *m = (thrum_manager *)arg;
  size_t limit = m->message_max + THRUMI_REPLY_HEAD;
  int error;
  do {
    void *message;
    size_t size;
    error = thrum_conn_recv_new(m->conn, &message, &size, limit);
    if (!error) error = deliver(m, message, size);
  } while (!error);
  end(m, -ECONNRESET);
  fail_all(m);
  return 0;
}

/* ---- A call ----------------------------------------------------------------------------------------------------------------- */

static int send_request(thrum_manager *m, const struct thrumi_request_words *w) {
  unsigned char head[THRUMI_REQUEST_HEAD];
  struct iovec pieces[] = {{head, sizeof head},
                           {(void *)(uintptr_t)w->name, w->name_size},
                           {(void *)(uintptr_t)w->value, w->value_size}};
  thrumi_request_write(head, w);
  return thrumi_conn_send_pieces(m->conn, pieces, 3, m->patience);
}

static int send_quietly(thrum_manager *m, enum thrumi_operation operation, uint32_t number) {
  struct thrumi_request_words w = {.number = number, .operation = (uint16_t)operation};
  int error = 0;
  THRUM_SHIELD(0) error = send_request(m, &w);
  return error;
}

/* It has been silent for too long, or cannot be told something. */
static void give_up(thrum_manager *m) { end(m, -ECONNRESET); }

/* For who was cancelled: the answer says whether the call was done before. */
static void call_off(thrum_manager *m, struct thrumi_client_call *call) {
  int error = send_quietly(m, THRUMI_OP_CANCEL, call->words.number);
  if (!error) {
    THRUM_SHIELD(0) error = thrum_event_wait_for(&call->done, m->patience);
  }
  if (error) give_up(m);
}

static thrum_duration time_for(const thrum_manager *m, const struct thrumi_client_call *call) {
  thrum_duration own = call->has_end && call->words.timeout > 0 ? call->words.timeout : 0;
  return own > THRUM_FOREVER - m->patience ? THRUM_FOREVER : own + m->patience;
}

/* Until the reader has let go of the call. */
static void await_reply(thrum_manager *m, struct thrumi_client_call *call) {
  int error = 0;
  if (call->shielded) {
    THRUM_SHIELD(0) error = thrum_event_wait_for(&call->done, time_for(m, call));
  } else {
    error = thrum_event_wait_for(&call->done, time_for(m, call));
  }
  if (error == -ECANCELED)
    call_off(m, call);
  else if (error)
    give_up(m);
  thrum_event_wait(&call->done);
}

/* Nothing of it went out, or the connection is no good any more: then there is no reply. */
static int not_sent(thrum_manager *m, struct thrumi_client_call *call, int error) {
  thrum_lock_acquire(&m->lock);
  const struct thrumi_client_call *mine = take(m, call->words.number);
  int over = m->error;
  thrum_lock_release(&m->lock);
  if (!mine) thrum_event_wait(&call->done); /* the reader has it */
  if (error == -ECANCELED) return error;
  give_up(m);
  return over ? over : -ECONNRESET;
}

static int send_and_wait(thrum_manager *m, struct thrumi_client_call *call) {
  int error = 0;
  if (call->shielded) {
    THRUM_SHIELD(0) error = send_request(m, &call->words);
  } else {
    error = send_request(m, &call->words);
  }
  if (error) return not_sent(m, call, error);
  await_reply(m, call);
  if (!call->message) return call->error;
  bool carries = call->words.operation == THRUMI_OP_GET && call->reply.status == 0;
  if (carries && send_quietly(m, THRUMI_OP_ACK, call->words.number) != 0) {
    give_up(m);
    return -ECONNRESET;
  }
  return call->reply.status;
}

int thrumi_client_call(thrum_manager *m, struct thrumi_client_call *call) {
  if (!m) return -EINVAL;
  if (m->forks != thrumi_forks) return -ECHILD;
  if (call->words.value_size > m->message_max) return -EMSGSIZE;
  int error = call->shielded ? 0 : thrumi_cancelled();
  if (!error) error = enter(m, call);
  if (error) return error;
  error = send_and_wait(m, call);
  thrumi_rely_on(call); /* the reader's memory */
  leave(m);
  return error;
}

/* ---- Connecting --------------------------------------------------------------------------------------------------------------- */

static int hear_greeting(thrum_manager *m, thrum_time deadline) {
  unsigned char message[256];
  struct thrumi_reply_words words;
  ssize_t n = thrum_conn_recv_for(m->conn, message, sizeof message, thrum_left(deadline));
  if (n < 0) return n == -EMSGSIZE ? -EPROTO : (int)n;
  if (n >= 11 && memcmp(message, "#CHALLENGE#", 11) == 0) return -EACCES; /* it wants a key */
  if (thrumi_reply_read(&words, message, (size_t)n) != 0 || words.number != 0) return -EPROTO;
  if ((words.value ^ THRUMI_GREETING) << 16 != 0) return -EPROTO;
  if (words.value != THRUMI_GREETING) return -EPROTONOSUPPORT;
  if (words.status) return words.status;
  if (n < THRUMI_REPLY_HEAD + THRUMI_GREETING_SIZE) return -EPROTO;
  m->message_max = thrumi_little_get(message + THRUMI_REPLY_HEAD, 8);
  m->requests_max = (uint32_t)thrumi_little_get(message + THRUMI_REPLY_HEAD + 8, 4);
  return m->message_max > UINT32_MAX ? -EPROTO : 0;
}

static int say_hello(thrum_manager *m, thrum_time deadline) {
  unsigned char head[THRUMI_REQUEST_HEAD];
  struct thrumi_request_words w = {.operation = THRUMI_OP_HELLO, .argument = THRUMI_GREETING};
  thrumi_request_write(head, &w);
  return thrum_conn_send_for(m->conn, head, sizeof head, thrum_left(deadline));
}

static int start_reader(thrum_manager *m) {
  thrum_options o = thrumi_servant("manager-reader", THRUM_YES);
  return thrum_spawn_with(&m->reader, &o, read_replies, m);
}

static int greet(thrum_manager *m, thrum_time deadline) {
  int error = hear_greeting(m, deadline);
  if (!error) error = say_hello(m, deadline);
  return thrumi_manager_gone(error);
}

/* A manager without a key does not challenge, but greets: who has a key takes that for nonsense. */
static int dial(thrum_manager *m, const char *address, const thrum_conn_options *o) {
  thrum_time deadline = thrum_after(o->patience);
  int error = thrum_conn_dial_for(&m->conn, address, o, o->patience);
  if (error) return error == -EPROTO ? -EACCES : error;
  m->noted = thrumi_manager_note(thrum_conn_fd(m->conn));
  thrumi_keep_alive(thrum_conn_fd(m->conn));
  if (!o->key && strncmp(address, "unix:", 5) == 0) error = thrumi_peer_is_kin(thrum_conn_fd(m->conn));
  return error ? error : greet(m, deadline);
}

static void free_manager(thrum_manager *m) {
  if (m->forks == thrumi_forks) thrumi_manager_forget(m->noted);
  thrum_conn_close(m->conn);
  if (m->address) thrumi_os.free(m->address);
  thrumi_os.free(m);
}

int thrum_manager_connect(thrum_manager **out, const char *address, const thrum_conn_options *options) {
  thrum_conn_options o;
  if (!out || !address) return -EINVAL;
  int error = thrumi_conn_options(&o, options);
  if (error) return error;
  thrum_manager *m = thrumi_os.allocate(sizeof *m);
  if (!m) return -ENOMEM;
  thrumi_ends_start();
  m->patience = o.patience;
  m->forks = thrumi_forks;
  m->address = thrumi_os.allocate(strlen(address) + 1);
  error = m->address ? 0 : -ENOMEM;
  if (!error) {
    strcpy(m->address, address);
    error = dial(m, address, &o);
  }
  if (!error) error = start_reader(m);
  if (error)
    free_manager(m);
  else
    *out = m;
  return error;
}

const char *thrum_manager_address(const thrum_manager *m) { return m ? m->address : NULL; }

pid_t thrum_manager_pid(const thrum_manager *m) {
  return m && m->process ? thrum_process_pid(m->process) : 0;
}

/* ---- Closing ------------------------------------------------------------------------------------------------------------------ */

static void disconnect(thrum_manager *m) {
  end(m, -EBADF);
  thrum_join(m->reader, NULL);
  thrum_lock_acquire(&m->lock);
  while (m->users) thrum_cond_wait(&m->idle, &m->lock);
  thrum_lock_release(&m->lock);
}

/* In the child of a fork what others were in the midst of is left as it is. */
void thrum_manager_close(thrum_manager *m) {
  if (!m) return;
  bool forked = m->forks != thrumi_forks;
  if (!forked) disconnect(m);
  if (!forked && m->process) thrumi_manager_end_process(m);
  free_manager(m);
}
