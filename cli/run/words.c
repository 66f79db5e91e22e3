/* Lists of words: see words.h. */
#include "words.h"

#include "../command.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void *have(void *memory) {
  if (!memory) exit(fail("no memory"));
  return memory;
}

/* Takes over the word's memory. */
static void append(struct words *words, char *word) {
  if (words->count + 1 >= words->room) {
    words->room = words->room ? 2 * words->room : 16;
    words->word = have(realloc(words->word, words->room * sizeof *words->word));
  }
  words->word[words->count++] = word;
  words->word[words->count] = NULL;
}

void words_add(struct words *words, const char *word) { append(words, have(strdup(word))); }

void words_add_all(struct words *words, const struct words *others) {
  for (size_t i = 0; i < others->count; i++) words_add(words, others->word[i]);
}

void words_join(struct words *words, const char *one, const char *other) {
  char *word;
  if (asprintf(&word, "%s%s", one, other) < 0) have(NULL);
  append(words, word);
}

/* Copies one word without its quotes; returns where it ends. */
static const char *copy_word(const char *text, char *to) {
  char quote = 0;
  for (; *text && (quote || !isspace((unsigned char)*text)); text++) {
    bool escapes = *text == '\\' && quote != '\'' && text[1];
    if (escapes)
      *to++ = *++text;
    else if (!quote && (*text == '"' || *text == '\''))
      quote = *text;
    else if (quote && *text == quote)
      quote = 0;
    else
      *to++ = *text;
  }
  *to = 0;
  return text;
}

void words_split(struct words *words, const char *text) {
  if (!text) return;
  char *word = have(malloc(strlen(text) + 1));
  for (;;) {
    while (isspace((unsigned char)*text)) text++;
    if (!*text) break;
    text = copy_word(text, word);
    words_add(words, word);
  }
  free(word);
}

static bool is_plain(const char *word) {
  for (; *word; word++)
    if (!isalnum((unsigned char)*word) && !strchr("-_+=./,:@%", *word)) return false;
  return true;
}

char *words_text(const struct words *words) {
  char *text;
  size_t size;
  FILE *out = have(open_memstream(&text, &size));
  for (size_t i = 0; i < words->count; i++) {
    const char *word = words->word[i];
    if (i) fputc(' ', out);
    if (*word && is_plain(word)) {
      fputs(word, out);
      continue;
    }
    fputc('\'', out);
    for (; *word; word++) fputs(*word == '\'' ? "'\\''" : (char[]){*word, 0}, out);
    fputc('\'', out);
  }
  if (fclose(out) != 0) have(NULL);
  return text;
}

void words_free(struct words *words) {
  for (size_t i = 0; i < words->count; i++) free(words->word[i]);
  free(words->word);
  *words = (struct words){0};
}
