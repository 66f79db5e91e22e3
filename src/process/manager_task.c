/* A manager's tasks: each call is a light thread of the server's.
 *
 * A call and its request know each other until one of them ends. A call that ends first finishes the request; a request that ends first,
 * by a cancellation, its deadline or its session's end, has the call's thread cancelled, which then finishes nothing. Both happen under
 * the server's lock.
 *
 * A task that is cancelled may run on for as long as it likes, and nobody waits for it any more: not its client, nor its session, which may
 * have ended. So what bounds the calls is no number of requests, but the server's memory: a call counts as CALL_COST bytes of what is kept,
 * until its task has returned. */
#include <core/parking.h>
#include <future/executor.h>
#include <os/os.h>
#include <process/manager.h>
#include <sched/part.h>
#include <sched/sched.h>
#include <sched/servant.h>
#include <string.h>

enum { CALL_COST = 16 * 1024 }; /* the call, its thread, and what of a stack is used at least */

struct thrumi_call {
  thrumi_server *server;
  const thrum_task *task;
  struct thrumi_blob *in;
  struct thrumi_request *request; /* NULL: nobody waits for it */
  thrum_thread thread;
  struct thrum_out out;
};

static struct thrumi_blob *copy(const void *bytes, size_t size) {
  struct thrumi_blob *blob = thrumi_blob_new(size);
  if (blob && size) memcpy((void *)(blob + 1), bytes, size);
  return blob;
}

static int begin(struct thrumi_call **out, struct thrumi_request *r, const thrum_task *task) {
  thrumi_server *server = r->session->server;
  int error = thrumi_bytes_keep(server, CALL_COST);
  if (error) return error;
  struct thrumi_call *call = thrumi_os.allocate(sizeof *call);
  if (!call) {
    thrumi_bytes_drop(server, CALL_COST);
    return -ENOMEM;
  }
  *call =
      (struct thrumi_call){.server = server, .task = task, .in = thrumi_blob_ref(r->message), .request = r};
  *out = call;
  return 0;
}

static void finish(struct thrumi_call *call, int result, struct thrumi_blob *payload) {
  thrumi_server *server = call->server;
  thrumi_bytes_drop(server, CALL_COST); /* before its client knows that there is room for another one */
  thrumi_server_enter(server);
  struct thrumi_request *r = call->request;
  if (r) {
    thrumi_request_take(r);
    r->call = NULL;
    r->payload = payload;
    r->reply.value = 1; /* it ran */
    thrumi_request_finish(r, result);
  }
  thrumi_server_leave(server);
  if (!r) thrumi_blob_drop(payload);
  thrumi_blob_drop(call->in);
  if (call->out.data) thrumi_os.free(call->out.data);
  thrumi_os.free(call);
}

static intptr_t run_task(void *arg) {
  struct thrumi_call *call = (struct thrumi_call *)arg;
  return call->task->fn(call->in->at, call->in->size, &call->out);
}

/* The sentence of the failure, as far as there is room for it. */
static struct thrumi_blob *sentence_of(struct thrumi_thread *me, size_t room) {
  char *sentence = thrumi_sentence_swap(me, NULL);
  struct thrumi_blob *payload = copy(sentence, sentence ? strnlen(sentence, room) : 0);
  if (sentence) thrumi_os.free(sentence);
  return payload;
}

static intptr_t run(void *arg) {
  struct thrumi_call *call = (struct thrumi_call *)arg;
  const struct thrum_out *out = &call->out;
  struct thrumi_thread *me = thrumi_me();
  struct thrumi_blob *payload = NULL;
  const size_t room = call->server->options.message_max;
  intptr_t result = thrumi_part_call(me, run_task, call);
  if (!thrum_failed(result) && out->error) result = out->error;
  if (!thrum_failed(result) && out->size > room) result = -EMSGSIZE;
  if (!thrum_failed(result)) {
    payload = copy(out->data, out->size);
    result = payload ? thrumi_charge(call->server, payload, 0) : -ENOMEM;
  }
  if (thrum_failed(result)) {
    thrumi_blob_drop(payload);
    payload = sentence_of(me, room);
  }
  finish(call, (int)result, payload);
  return 0;
}

static const thrum_task *find(const thrumi_server *server, const struct thrumi_request_words *w) {
  for (size_t i = 0; i < server->options.task_count; i++) {
    const thrum_task *task = server->options.tasks[i];
    if (strlen(task->name) == w->name_size && memcmp(task->name, w->name, w->name_size) == 0) return task;
  }
  return NULL;
}

static int start(struct thrumi_call *call) {
  int error = thrumi_servant_in(call->server->scope, &call->thread, run, call, call->task->name);
  if (!error) thrum_detach(call->thread); /* it is alive as long as the call is linked */
  return error;
}

int thrumi_call_begin(struct thrumi_request *r) {
  thrumi_server *server = r->session->server;
  const thrum_task *task = find(server, &r->words);
  if (!task) return -ENOENT;
  if (r->words.timeout <= 0) return -ETIMEDOUT;
  struct thrumi_call *call;
  int error = begin(&call, r, task);
  if (error) return error;
  error = thrumi_request_run(r);
  if (!error) error = start(call);
  if (!error) {
    r->call = call;
    return 0;
  }
  thrumi_request_take(r);
  thrumi_bytes_drop(server, CALL_COST);
  thrumi_blob_drop(call->in);
  thrumi_os.free(call);
  return error;
}

void thrumi_call_abandon(struct thrumi_request *r) {
  struct thrumi_call *call = r->call;
  r->call = NULL;
  call->request = NULL;
  thrum_cancel(call->thread);
}
