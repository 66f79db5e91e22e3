/* Which of the two machines it is. */
#include "dis.h"

void machine_effect(const struct image *image, const cs_insn *cs, struct effect *out) {
  *out = (struct effect){0};
  if (image_is_arm(image))
    arm64_effect(image->detail, cs, out);
  else
    x86_effect(image->detail, cs, out);
}

const struct convention *machine_convention(const struct image *image) {
  return image_is_arm(image) ? &arm64_convention : &x86_convention;
}

uint64_t machine_stub_slot(const struct image *image, const cs_insn *cs, uint64_t *page) {
  struct effect e;
  machine_effect(image, cs, &e);
  if (!image_is_arm(image))
    return e.flow == FLOW_JUMP && !e.direct && e.access.absolute ? (uint64_t)e.access.offset : 0;
  if (cs->id == ARM64_INS_ADRP) {
    *page = (uint64_t)e.constant;
    return 0;
  }
  bool loads = e.access.mode == ACCESS_LOAD && !e.access.absolute && e.access.index == NO_REGISTER;
  return loads && *page ? *page + (uint64_t)e.access.offset : 0;
}
