/* A manager is a process that keeps things for others: queues, locks, maps, semaphores, events, found by their names, and tasks to be
 * called.
 *
 *     thrum_manager *m;                                           // in one process
 *     thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
 *     o.address = "unix:/run/jobs.sock";
 *     thrum_manager_start(&m, &o);                                // starts the manager, and connects
 *
 *     thrum_manager_connect(&m, "unix:/run/jobs.sock", NULL);     // in any other one
 *
 *     thrum_manager_queue q;
 *     thrum_manager_queue_open(&q, m, "jobs", 100);               // in all of them
 *     thrum_manager_queue_put(&q, text, length);
 *     ssize_t n = thrum_manager_queue_get(&q, buffer, sizeof buffer);
 *
 * Objects. Who opens a name first makes the object; the others find it, as it was made. It stays until it is removed, or the manager
 * ends. A handle is a value: it may be copied, needs no close, and is good as long as its thrum_manager.
 *
 * A client is one connection. Any number of threads use it together, and none waits for another's call. Light, bound and foreign threads
 * may; signal handlers nothing.
 *
 * Forms. Calls that take a timeout wait for so long, THRUM_FOREVER without end, 0 or less not at all (-ETIMEDOUT). All calls switch, and
 * are cancellation points but for those of which it is said. A call that says -ECANCELED, -ETIMEDOUT, or another error of the manager's
 * has done nothing.
 *
 * What waits, and what is put or set, counts as kept by the manager while it is, and a task as 16 KiB until it has returned, also when its
 * call has been given up: -ENOSPC, when it keeps as much as it may.
 *
 * Each call is done once, or not at all; but of one that says -ECONNRESET, or that its client did not survive, nobody can tell which. A
 * client may die at any moment, and the manager goes on:
 *  - What it holds is released; who gets such a lock next is told so, once, by -EOWNERDEAD.
 *  - What it waits for it does not get. What it put stays.
 *  - A message on its way to it goes back to the front of its queue, unless it has acknowledged it, which a get does before it
 *    returns. So a message is got once. Where a network breaks just then it may be got twice: the acknowledgement was sent,
 *    and never came.
 *
 * When the manager is gone every call says -ECONNRESET, those that wait too, and nothing brings it back: connect again. It is also taken
 * for gone if it does not answer within the options' patience (10 s) behind the time that the call had. -ECHILD: in the child of a fork,
 * which connects for itself. -EBADF: closed meanwhile.
 *
 * Who may. With a key (listener.h), who knows it. Without, at Unix addresses alone, whoever runs as the manager's user, or as root; the
 * client asks the same of the manager. Nothing is encrypted. */
#ifndef THRUM_PROCESS_MANAGER_H
#define THRUM_PROCESS_MANAGER_H

#include <thrum/process/listener.h>
#include <thrum/process/process.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_manager thrum_manager;
typedef struct thrum_manager_server thrum_manager_server;

enum {
  THRUM_MANAGER_NAME_MAX = 255, /* bytes of a name, without its NUL */
  THRUM_MANAGER_KEY_MAX = 4096, /* of a map's key */
};

/* All-zero (with size set) means the defaults. */
typedef struct thrum_manager_options {
  size_t size;         /* sizeof(thrum_manager_options) */
  const char *address; /* as a listener's; NULL: of Linux's abstract space, with a name by chance */
  const thrum_conn_options *connection; /* key, digest, patience; NULL: no key, and 10 s */
  const thrum_task *const *tasks;       /* those that may be called */
  size_t task_count;
  size_t clients;     /* so many at once; 0: 1,000 */
  size_t objects;     /* so many; 0: 100,000 */
  size_t message_max; /* bytes of a message, a value, what a task is given and gives; 0: 64 MiB */
  size_t memory;      /* bytes that it keeps in all; 0: 1 GiB */
  const char *name;   /* of the process; NULL or "": Manager */
  int method;         /* how it is started: THRUM_FORKSERVER, ... */
} thrum_manager_options;

#define THRUM_MANAGER_OPTIONS_INIT \
  { sizeof(thrum_manager_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* ---- Managers --------------------------------------------------------------------------------------------------------- */

/* Starts a process that is a manager, as a daemon of this one, and connects to it. It ignores SIGINT, so that a
 * program that ends in order on Ctrl-C has it to the end; a terminal that is closed (SIGHUP) ends it, as it ends the program. options may be NULL.
 * -EINVAL: options that cannot be; TCP without a key. -ECONNRESET, -ECONNREFUSED: it was killed meanwhile. Others as
 * thrum_process_start, thrum_listener_open, thrum_manager_connect. */
THRUM_API int thrum_manager_start(thrum_manager **out, const thrum_manager_options *options);

/* The same served by threads of this process, which go on until the stop, and are daemons. Who uses it connects, here too. */
THRUM_API int thrum_manager_serve(thrum_manager_server **out, const thrum_manager_options *options);

/* Where it listens, until the stop. Does not switch. */
THRUM_API const char *thrum_manager_server_address(const thrum_manager_server *server);

/* Ends it: clients find it gone; tasks that run are cancelled, and waited for, so that none of them may call this. NULL: nothing.
 * Switches; no cancellation point. */
THRUM_API void thrum_manager_server_stop(thrum_manager_server *server);

/* Connects to a manager. The options' patience is also how long it may be silent. NULL: no key, and 10 s. -EACCES: another key, or one
 * where there is none; another user's; -EPROTO: not a manager; -EPROTONOSUPPORT: another version; -EUSERS: it has as many clients as it
 * may; -ECONNRESET: it has hung up, or was killed, meanwhile; and what thrum_conn_dial says. */
THRUM_API int thrum_manager_connect(thrum_manager **out, const char *address,
                                    const thrum_conn_options *options);

/* Its address, and the pid of the process that was started (0: it was connected to). Neither switches. */
THRUM_API const char *thrum_manager_address(const thrum_manager *m);
THRUM_API pid_t thrum_manager_pid(const thrum_manager *m);

/* Disconnects, and ends the process that thrum_manager_start has started: by a word, a second later by SIGKILL. Calls that are under way
 * end with -EBADF; none may begin. NULL: nothing. Switches; no cancellation point. */
THRUM_API void thrum_manager_close(thrum_manager *m);

/* Removes the object of that name: who waits for it, and who has a handle, is told -ESRCH. What it held is gone. -ENOENT: there is none. */
THRUM_API int thrum_manager_remove(thrum_manager *m, const char *name);

/* Errors of every open: -EINVAL: a name that is empty or too long; -EEXIST: something else has it; -ENOSPC: too many objects; -ENOMEM. */

/* ---- Queues ----------------------------------------------------------------------------------------------------------- */

/* Messages of bytes, first in, first out; who waits longest is served first. */
typedef struct thrum_manager_queue {
  thrum_manager *manager;
  uint64_t id;
} thrum_manager_queue;

/* `capacity` messages, from 1, or THRUM_UNBOUNDED. */
THRUM_API int thrum_manager_queue_open(thrum_manager_queue *q, thrum_manager *m, const char *name,
                                       size_t capacity);

/* 0. -EPIPE: shut down. -EMSGSIZE: longer than the manager takes. -ENOSPC: the manager keeps as much as it may. The try forms -EAGAIN. */
THRUM_API int thrum_manager_queue_put(thrum_manager_queue *q, const void *data, size_t size);
THRUM_API THRUM_MUST_CHECK int thrum_manager_queue_put_for(thrum_manager_queue *q, const void *data,
                                                           size_t size, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_manager_queue_try_put(thrum_manager_queue *q, const void *data,
                                                           size_t size);

/* The next message, into the buffer: its size. -EPIPE: shut down, empty, and nothing on its way to others that might come back.
 * -EMSGSIZE: longer than `size`; it stays the next one. */
THRUM_API THRUM_MUST_CHECK ssize_t thrum_manager_queue_get(thrum_manager_queue *q, void *buffer, size_t size);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_manager_queue_get_for(thrum_manager_queue *q, void *buffer,
                                                               size_t size, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK ssize_t thrum_manager_queue_try_get(thrum_manager_queue *q, void *buffer,
                                                               size_t size);

/* The same into memory of its own, which the caller frees with free(3); also for 0 bytes. */
THRUM_API THRUM_MUST_CHECK int thrum_manager_queue_get_new(thrum_manager_queue *q, void **data, size_t *size,
                                                           thrum_duration timeout);

/* Messages in it; those that were put and not said to be done. */
THRUM_API ssize_t thrum_manager_queue_size(thrum_manager_queue *q);
THRUM_API ssize_t thrum_manager_queue_unfinished(thrum_manager_queue *q);

/* As of thrum_queue. A message that a client got, and died with, stays unfinished: whoever notices says task_done for it. task_done:
 * -EOVERFLOW: said too often; no cancellation point, nor is shutdown. With `now` what is in it is discarded and counts as finished. */
THRUM_API int thrum_manager_queue_task_done(thrum_manager_queue *q);
THRUM_API THRUM_MUST_CHECK int thrum_manager_queue_join(thrum_manager_queue *q, thrum_duration timeout);
THRUM_API int thrum_manager_queue_shutdown(thrum_manager_queue *q, bool now);

/* ---- Locks ------------------------------------------------------------------------------------------------------------ */

/* A lock is a client's: any thread of it may release it, and who acquires it twice waits. An rlock is a thread's of a client, which may
 * take it again, and releases it as often; if the thread ends, it is the client's end that frees it. */
typedef struct thrum_manager_lock {
  thrum_manager *manager;
  uint64_t id;
} thrum_manager_lock;

THRUM_API int thrum_manager_lock_open(thrum_manager_lock *lock, thrum_manager *m, const char *name);
THRUM_API int thrum_manager_rlock_open(thrum_manager_lock *lock, thrum_manager *m, const char *name);

/* Whichever of the two it is. 0: held. -EOWNERDEAD: held, too; the client that held it before has died with it. So look after what it
 * guards; the next one is not told again. */
THRUM_API THRUM_MUST_CHECK int thrum_manager_lock_acquire(thrum_manager_lock *lock);
THRUM_API THRUM_MUST_CHECK int thrum_manager_lock_acquire_for(thrum_manager_lock *lock,
                                                              thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_manager_lock_try_acquire(thrum_manager_lock *lock);

/* -EPERM: not the caller's. No cancellation point. */
THRUM_API int thrum_manager_lock_release(thrum_manager_lock *lock);

/* ---- Semaphores and events -------------------------------------------------------------------------------------------- */

/* Units are nobody's: a client that dies does not give them back. */
typedef struct thrum_manager_sem {
  thrum_manager *manager;
  uint64_t id;
} thrum_manager_sem;

THRUM_API int thrum_manager_sem_open(thrum_manager_sem *sem, thrum_manager *m, const char *name,
                                     uint32_t units);
THRUM_API THRUM_MUST_CHECK int thrum_manager_sem_acquire(thrum_manager_sem *sem, thrum_duration timeout);
/* -EOVERFLOW: more than 2^32 - 1. No cancellation point. */
THRUM_API int thrum_manager_sem_release(thrum_manager_sem *sem, uint32_t n);
THRUM_API ssize_t thrum_manager_sem_value(thrum_manager_sem *sem);

typedef struct thrum_manager_event {
  thrum_manager *manager;
  uint64_t id;
} thrum_manager_event;

/* Set and clear are no cancellation points. is_set: 1, 0, or an error. */
THRUM_API int thrum_manager_event_open(thrum_manager_event *event, thrum_manager *m, const char *name);
THRUM_API int thrum_manager_event_set(thrum_manager_event *event);
THRUM_API int thrum_manager_event_clear(thrum_manager_event *event);
THRUM_API int thrum_manager_event_is_set(thrum_manager_event *event);
THRUM_API THRUM_MUST_CHECK int thrum_manager_event_wait(thrum_manager_event *event, thrum_duration timeout);

/* ---- Maps ------------------------------------------------------------------------------------------------------------- */

/* Keys, of 0 to THRUM_MANAGER_KEY_MAX bytes, and values. A value has a version: a number that no other value of the map has ever had,
 * greater than those before; 0: there is none. So to change a value by what it is now:
 *
 *     do thrum_manager_map_get(&map, key, n, &value, &size, &version), change(value);
 *     while (thrum_manager_map_set_if(&map, key, n, value, size, &version) == -ESTALE);
 */
typedef struct thrum_manager_map {
  thrum_manager *manager;
  uint64_t id;
} thrum_manager_map;

THRUM_API int thrum_manager_map_open(thrum_manager_map *map, thrum_manager *m, const char *name);

/* Sets the value; *version (unless NULL) becomes its version. set_if does so only if the version is *version still (0: if there is no
 * such key). -ESTALE: it is another one, which *version then says. -EMSGSIZE, -ENOSPC as above. */
THRUM_API int thrum_manager_map_set(thrum_manager_map *map, const void *key, size_t key_size,
                                    const void *value, size_t size, uint64_t *version);
THRUM_API int thrum_manager_map_set_if(thrum_manager_map *map, const void *key, size_t key_size,
                                       const void *value, size_t size, uint64_t *version);

/* The value, in memory that the caller frees with free(3), and its version (unless NULL). -ENOENT: no such key. */
THRUM_API THRUM_MUST_CHECK int thrum_manager_map_get(thrum_manager_map *map, const void *key, size_t key_size,
                                                     void **value, size_t *size, uint64_t *version);

/* Takes it out; with a version that is not NULL only if it is that still, -ESTALE. -ENOENT. */
THRUM_API int thrum_manager_map_delete(thrum_manager_map *map, const void *key, size_t key_size,
                                       uint64_t *version);

/* Waits until the version is another one than *version, which may be 0 (so until there is such a key), and stores it: 0 if the key has
 * gone. */
THRUM_API THRUM_MUST_CHECK int thrum_manager_map_wait(thrum_manager_map *map, const void *key,
                                                      size_t key_size, uint64_t *version,
                                                      thrum_duration timeout);

THRUM_API ssize_t thrum_manager_map_size(thrum_manager_map *map);

/* All keys as they are at one moment, in the order in which they came:
 *
 *     thrum_manager_map_keys(&map, &keys);
 *     while (thrum_manager_keys_next(&keys, &key, &size)) ...
 *     thrum_manager_keys_free(&keys);
 *
 * -EMSGSIZE: more bytes of keys than one message may have. */
typedef struct thrum_manager_keys {
  void *memory;
  size_t size, at;
} thrum_manager_keys;

THRUM_API THRUM_MUST_CHECK int thrum_manager_map_keys(thrum_manager_map *map, thrum_manager_keys *keys);
THRUM_API bool thrum_manager_keys_next(thrum_manager_keys *keys, const void **key, size_t *size);
THRUM_API void thrum_manager_keys_free(thrum_manager_keys *keys);

/* ---- Tasks ------------------------------------------------------------------------------------------------------------ */

/* Calls a task of the options' by its name: it runs in a light thread of the manager's, beside others. Its result, in memory that the
 * caller frees with free(3). If the task fails, that is the error, and *data the sentence that came with it, or "", to be freed too. With
 * an error of the call's own *data is NULL: -ENOENT: no such task; -EMSGSIZE; -ENOMEM, also the manager's. If the call ends early
 * (-ECANCELED, -ETIMEDOUT, and when the client is gone) the task is cancelled, as a thread is: what it has done by then is done. */
THRUM_API THRUM_MUST_CHECK int thrum_manager_call(thrum_manager *m, const char *task, const void *in,
                                                  size_t in_size, void **data, size_t *size,
                                                  thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
