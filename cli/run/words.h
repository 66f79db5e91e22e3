/* A list of words, such as the arguments of a command. All-zero is empty. */
#ifndef THRUM_WORDS_H
#define THRUM_WORDS_H

#include <stddef.h>

struct words {
  char **word; /* NULL ends it, once there is a word */
  size_t count, room;
};

/* Each copies what it is given. Without memory the command ends. */
void words_add(struct words *words, const char *word);
void words_add_all(struct words *words, const struct words *others);
void words_join(struct words *words, const char *one, const char *other); /* as one word */

/* Adds the words of a text as a shell takes them apart: by white space, with quotes and backslashes. NULL: none. */
void words_split(struct words *words, const char *text);

/* "one other", allocated, as a shell would need it. */
char *words_text(const struct words *words);

void words_free(struct words *words);

#endif
