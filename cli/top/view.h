/* Lines of text: the same for --once and for the screen. Columns are those of a terminal, whatever bytes a character takes; what would
 * confuse a terminal is shown as '?'. */
#ifndef THRUM_TOP_VIEW_H
#define THRUM_TOP_VIEW_H

#include "snapshot.h"

enum { LINE_BYTES = 2048, HEAD_LINES = 4 };

enum page { PAGE_THREADS, PAGE_LOCKS, PAGE_QUEUES };

/* Cuts or fills to so many columns, into LINE_BYTES. */
void view_fit(char *out, const char *text, int columns);

void view_head(const struct snapshot *s, const struct client *c, int line, char *out);
void view_title(enum page page, enum order order, char *out);
void view_thread(const struct row *row, char *out);
void view_object(enum page page, json_object *object, char *out); /* a lock or a queue */
void view_frame(json_object *frame, char *out);

/* The locks or queues. */
json_object *view_objects(const struct snapshot *s, enum page page);

#endif
