/* What a child is to be and to do: made by the starter, sent over the child's channel, carried out in the child.
 *
 * A message is a head and descriptors; the text (strings one after the other, each with its NUL; the cpu_set; the input) follows
 * the head if it is short, or else is a file in memory that goes along as the last descriptor. So the message always fits into the
 * socket, and whoever sends one never waits for the child. */
#ifndef THRUMI_PLAN_H
#define THRUMI_PLAN_H

#include <process/message.h>
#include <thrum/process/process.h>

#define THRUMI_PLAN_MAGIC 0x7468726dU

/* The descriptors of a plan, in this order, then those that are handed over. */
enum thrumi_plan_fd {
  THRUMI_PLAN_LIFE, /* the parent's line: its other end is the parent's alone */
  THRUMI_PLAN_DIRECTORY,
  THRUMI_PLAN_STDIN,
  THRUMI_PLAN_STDOUT,
  THRUMI_PLAN_STDERR,
  THRUMI_PLAN_FDS,
  THRUMI_PLAN_FDS_MAX = THRUMI_PLAN_FDS + THRUM_PROCESS_DESCRIPTORS_MAX,
};
_Static_assert(THRUMI_PLAN_FDS_MAX + 1 <= THRUMI_MESSAGE_FDS, "all fit into one message");

enum { THRUMI_PLAN_DAEMON = 1, THRUMI_PLAN_OUTLIVES = 2 };

struct thrumi_plan_head {
  uint32_t magic, size; /* of another build of the library: refused */
  uint32_t flags, descriptors;
  pid_t parent;
  uint32_t variables; /* of the environment */
  uint64_t affinity_size, input_size, text_size;
};

/* The strings, in the order of the text; the environment comes behind them. */
struct thrumi_plan_words {
  const char *name, *identity, *parent_name, *task, *object, *directory;
};

struct thrumi_plan {
  struct thrumi_plan_head head;
  struct thrumi_plan_words words;
  const char *const *environment; /* NULL: the starter's; where the plan was received instead: */
  char *variables;                /* one after the other */
  const void *affinity, *input;
  int fds[THRUMI_PLAN_FDS_MAX]; /* -1: none */
  char *text;                   /* where all that lies, in the child */
};

/* Sends it; the descriptors stay the caller's. 0; -EPIPE and the like: nobody is there; -ENOMEM, -EMFILE. Does not wait. */
int thrumi_plan_send(int channel, struct thrumi_plan *plan);

/* In the child, which has one thread: waits for it. 0, or an error. What it points to stays. */
int thrumi_plan_receive(int channel, struct thrumi_plan *plan);

#endif
