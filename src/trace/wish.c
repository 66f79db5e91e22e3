#include <ctype.h>
#include <string.h>
#include <trace/wish.h>

/* If the text begins with this word, what stands behind it; else NULL. */
static const char *behind(const char *text, const char *word) {
  size_t length = strlen(word);
  return strncmp(text, word, length) == 0 ? text + length : NULL;
}

/* Digits; what stands behind them, NULL: there are none, or too many. */
static const char *number(const char *text, uint64_t *out) {
  *out = 0;
  if (!isdigit((unsigned char)*text)) return NULL;
  for (; isdigit((unsigned char)*text); text++)
    if (*out > 1000000000)
      return NULL;
    else
      *out = *out * 10 + (uint64_t)(*text - '0');
  return text;
}

static const char *seconds(const char *text, thrum_duration *out) {
  uint64_t n;
  text = number(text, &n);
  if (!text || *text != ':' || !n) return NULL;
  *out = THRUM_S((int64_t)n);
  return text + 1;
}

static const char *size(const char *text, size_t *out) {
  uint64_t n;
  text = number(text, &n);
  if (!text) return NULL;
  if (*text == 'k') n <<= 10;
  if (*text == 'm') n <<= 20;
  if (*text == 'k' || *text == 'm') text++;
  *out = n;
  return *text == ':' && n ? text + 1 : NULL;
}

/* One word. The text behind it; the text itself: it begins with none; NULL: a number that is none. */
static const char *read_word(const char *text, thrum_trace_options *o) {
  const char *rest;
  if ((rest = behind(text, "flight:"))) return o->flight = true, rest;
  if ((rest = behind(text, "locks:"))) return o->locks = true, rest;
  if ((rest = behind(text, "queues:"))) return o->queues = true, rest;
  if ((rest = behind(text, "seconds="))) return seconds(rest, &o->keep);
  if ((rest = behind(text, "ring="))) return size(rest, &o->ring);
  return text;
}

bool thrumi_wish_read(const char *text, thrum_trace_options *options) {
  for (const char *before = NULL; text && text != before;) {
    before = text;
    text = read_word(text, options);
  }
  options->file = text;
  return text && *text;
}
