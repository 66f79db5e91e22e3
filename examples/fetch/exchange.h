/* One request over HTTP/1.1 and its answer, which llhttp parses. */
#ifndef EXAMPLES_FETCH_EXCHANGE_H
#define EXAMPLES_FETCH_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>
#include <thrum.h>

enum { ETAG_MAX = 128, VALUE_ROOM = 256 };

struct exchange {
  /* Given. */
  bool head;                                                       /* the request was HEAD: no body follows */
  int (*begin)(struct exchange *x);                                /* the header is there: 0 to go on */
  int (*take)(struct exchange *x, const char *bytes, size_t size); /* some of the body: 0 to go on */
  void *arg;

  /* What came. */
  int status;           /* 0: nothing yet */
  int64_t length;       /* of the body; -1: not said */
  int64_t first, total; /* by Content-Range; -1: not said */
  bool ranges;          /* ranges may be asked for */
  bool keep_alive;
  char etag[ETAG_MAX]; /* "" or a strong one */

  /* Private. */
  llhttp_t parser;
  bool over;
  int error;
  size_t name_size, value_size;
  char name[24], value[VALUE_ROOM];
};

/* Sends the request and takes in the answer. 0; -ETIMEDOUT: nothing came or went for so long; -ECONNRESET: it broke off before the
 * answer was complete; -EPROTO: that is no HTTP; another error of the connection; or what begin or take returned. */
int exchange_run(struct exchange *x, int fd, const char *request, thrum_duration timeout);

#endif
