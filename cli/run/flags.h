/* What a compiler has to be told to use thrum, by pkg-config. */
#ifndef THRUM_FLAGS_H
#define THRUM_FLAGS_H

#include "words.h"

struct flags {
  struct words compile, link;
};

/* 0, or STATUS_FAILED after a message. */
int flags_find(struct flags *out);

#endif
