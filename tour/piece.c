/* Counting a piece, and joining two of them. */
#include "piece.h"

#include <zlib.h>

static bool in_word(unsigned char c) { return c != ' ' && (c < '\t' || c > '\r'); }

struct piece piece_of(const unsigned char *data, size_t size) {
  struct piece p = {.size = size};
  if (size == 0) return p;
  p.crc = (uint32_t)crc32(0, data, (uInt)size);
  p.begins_in_word = in_word(data[0]);
  for (size_t i = 0; i < size; i++) {
    bool inside = in_word(data[i]);
    p.words += inside && !p.ends_in_word;
    p.ends_in_word = inside;
  }
  return p;
}

struct piece piece_join(struct piece whole, struct piece next) {
  if (whole.size == 0) return next;
  if (next.size == 0) return whole;
  bool across = whole.ends_in_word && next.begins_in_word; /* both have counted it */
  return (struct piece){
      .size = whole.size + next.size,
      .words = whole.words + next.words - across,
      .crc = (uint32_t)crc32_combine(whole.crc, next.crc, (z_off_t)next.size),
      .begins_in_word = whole.begins_in_word,
      .ends_in_word = next.ends_in_word,
  };
}
