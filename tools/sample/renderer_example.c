/* A storefront's renderer in C, whole: opens the appliance, finds features once, reads the users of
 * a page and says what the page would show. renderer_example NAME DIRECTORY USER... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/deja.h"

#define ITEMS_MAX 16

static void print_items(const deja_appliance* shop, const deja_profile* profile,
                        deja_feature feature, int64_t now_us) {
  deja_item items[ITEMS_MAX];
  uint32_t count = 0;
  if (deja_items(shop, profile, feature, now_us, items, ITEMS_MAX, &count) != DEJA_OK ||
      count == 0) {
    return;
  }
  printf("  %-12s", deja_feature_name(shop, feature));
  for (uint32_t at = 0; at < count && at < 6; ++at) {
    printf(" %.*s", (int)items[at].text_bytes, items[at].text);
  }
  printf("%s\n", count > 6 ? " …" : "");
}

static void print_profile(const deja_appliance* shop, const deja_profile* profile, int64_t now_us) {
  for (deja_feature feature = 0; feature < deja_feature_count(shop); ++feature) {
    const char* name = deja_feature_name(shop, feature);
    double number = 0;
    switch (deja_feature_type(shop, feature)) {
      case DEJA_RECENT:
      case DEJA_TOP:
        print_items(shop, profile, feature, now_us);
        break;
      default:
        if (deja_number(shop, profile, feature, now_us, &number) == DEJA_OK && number != 0) {
          printf("  %-12s %g\n", name, number);
        }
    }
  }
}

int main(int argument_count, char** arguments) {
  if (argument_count < 4) {
    fprintf(stderr, "usage: renderer_example NAME DIRECTORY USER...\n");
    return 2;
  }
  deja_appliance* shop = NULL;
  const deja_status opened = deja_open(arguments[1], arguments[2], &shop);
  if (opened != DEJA_OK) {
    fprintf(stderr, "renderer_example: %s: %s\n", arguments[1], deja_status_text(opened));
    return 1;
  }
  /* Once; every request would use it again. */
  deja_profile* profile = malloc(deja_profile_bytes(shop));
  if (profile == NULL) return 1;
  int missing = 0;
  for (int at = 3; at < argument_count; ++at) {
    const char* user = arguments[at];
    const deja_status got = deja_get(shop, deja_user(user, (uint32_t)strlen(user)), profile);
    if (got != DEJA_OK) {
      printf("%s: %s\n", user, deja_status_text(got));
      missing = 1;
      continue;
    }
    const int64_t now_us = deja_now_us();
    printf("%s (last event %.1f ms ago)\n", user, (double)deja_age_us(profile, now_us) / 1000.0);
    print_profile(shop, profile, now_us);
  }
  free(profile);
  deja_close(shop);
  return missing;
}
