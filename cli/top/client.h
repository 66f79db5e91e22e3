/* The other end of a program's inspect socket (docs/design/inspect.md). */
#ifndef THRUM_TOP_CLIENT_H
#define THRUM_TOP_CLIENT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct client {
  int fd;
  pid_t pid;
  char name[64]; /* of the program */
  char *text;    /* what has been read of an answer */
  size_t used, room;
  bool refused; /* the last request, by an error: the program is there */
};

/* Connects to the program that `what` names: a PID, the name of a program, or (NULL) the only one that there is. 0, or
 * STATUS_FAILED after a message that says what to do: there is none, there are several (they are listed), it has no socket, it is of
 * a version that answers otherwise. */
int client_open(struct client *out, const char *what);
void client_close(struct client *c);

/* One request, one answer, which is the caller's. NULL: the program has ended, or does not answer within `seconds` (it says so), or
 * the answer is an error; *why is a message then, good until the next call. */
json_object *client_ask(struct client *c, int seconds, const char **why, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Members of an object; 0, "" or NULL if there is no such member. */
int64_t member_number(json_object *o, const char *key);
const char *member_text(json_object *o, const char *key);
json_object *member(json_object *o, const char *key);

/* A list's; 0 and NULL of what is none. */
size_t list_length(json_object *list);
json_object *list_item(json_object *list, size_t i);

#endif
