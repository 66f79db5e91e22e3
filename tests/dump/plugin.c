/* Loaded by frames.c after it has named its first address. */
void plugin_call(void (*fn)(void));
void plugin_call(void (*fn)(void)) {
  fn();
  __asm__ volatile("" ::: "memory");
}
