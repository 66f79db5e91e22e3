/* What lies in the records of a post: errands for the process, and what comes of them.
 *
 * An errand is a task and `count` items, for each of which it is called: one for a task that was submitted, a chunk of a map. Behind the
 * head lie the names, if the task is another one than the errand's before, then the items, one after the other; or the items are a parcel.
 *
 * A result is, for each item that was run, an item's head, the bytes and the sentence; that too may be a parcel. Or the whole has
 * failed, before its task was called: then `error` says with what, and there is only the sentence. */
#ifndef THRUMI_ERRAND_H
#define THRUMI_ERRAND_H

#include <process/post.h>
#include <thrum/executor.h>

enum thrumi_post_kind { THRUMI_ERRAND = 1, THRUMI_RESULT = 2 };

enum { THRUMI_ERRAND_KEEP_GOING = THRUMI_RECORD_FLAG };

struct thrumi_errand {
  struct thrumi_record record;
  uint64_t number; /* from 1 on: of those to this process; 0: the result of its initializer */
  uint64_t count, item_size;
  uint32_t name_size, object_size; /* with their NULs; 0: the task is that of the errand before */
};

struct thrumi_result {
  struct thrumi_record record;
  uint64_t number;
  uint64_t count; /* items that were run */
  uint64_t size;  /* of what follows, or of the parcel */
  int32_t error;
  uint32_t unused;
};

struct thrumi_result_item {
  int32_t value;
  uint32_t sentence_size; /* without NUL; 0: none */
  uint64_t bytes_size;
};

/* What a process is told when it starts; the strings and the bytes follow. */
struct thrumi_hiring {
  uint64_t stack_size;
  uint32_t name_size, object_size; /* of its initializer; 0: it has none */
  uint64_t input_size;
};

/* The task of a process of an executor's. It has inherited the board and its end of the connection, in this order. */
enum { THRUMI_HAND_BOARD, THRUMI_HAND_CONN, THRUMI_HAND_FDS };
const thrum_task *thrumi_hand_task(void);

#endif
