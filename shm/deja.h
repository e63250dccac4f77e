/* libdeja: reads the profiles of an appliance on this host, out of memory that it maps read-only.
 *
 *   deja_appliance* shop = NULL;
 *   deja_feature views = 0;
 *   if (deja_open("shop", NULL, &shop) != DEJA_OK) ...
 *   if (deja_feature_find(shop, "views_1h", &views) != DEJA_OK) ...
 *   deja_profile* profile = malloc(deja_profile_bytes(shop));        // once; used again and again
 *   if (deja_get(shop, deja_user("u17", 3), profile) == DEJA_OK) {
 *     double count = 0;
 *     deja_number(shop, profile, views, deja_now_us(), &count);
 *   }
 *
 * Needs libc alone. Nothing here writes to the appliance, takes a lock or logs; a reader can't slow
 * it down, and it can't make a reader wait. deja_open, deja_reattach and deja_close allocate and
 * make system calls; deja_ask makes some; deja_wait naps; nothing else does either. (The first
 * touch of a page of the table costs the kernel a minor fault, once in a process.)
 *
 * Values are finished at read time: a profile is copied as the worker left it, and deja_number and
 * its like say what it means at the instant `now_us` that the caller gives: panes that have left a
 * window by then do not count, weights have decayed. So one copy can be read at several instants,
 * and reading an old copy again is right too, but for events that came since.
 *
 * Threads: one deja_appliance may be used by any number of threads at once, except that
 * deja_reattach, deja_allow_stale and deja_close must have it for themselves. Simplest is a handle
 * per thread: handles share the memory. A deja_profile is the caller's memory: one thread at a
 * time, or any number that only read.
 *
 * fork: a child may go on using its parent's handle.
 *
 * What can be wrong, and what to do
 *   - The server restarts, or its config changes: deja_get answers DEJA_STALE from then on. Call
 *     deja_reattach, resolve features again, and get new memory if deja_profile_bytes grew. To show
 *     the last known profiles meanwhile, deja_allow_stale.
 *   - The server was killed with all it started: nothing tells a reader at once, and profiles just
 *     stay as they are. deja_heartbeat_us says when the server last gave a sign of life.
 *   - A profile changes faster than it can be copied, many times in a row: DEJA_BUSY. Try again, or
 *     show the page without; it means an event every few hundred nanoseconds for one user.
 *   - The files belong to the service; who may read them is set there ([appliance] in the config):
 *     DEJA_DENIED means that this user is not in the readers' group.
 *   - The files' counts and offsets are checked before use, and every index read later is too: a
 *     broken or hostile file gives DEJA_DAMAGED or odd values, not an access outside. But a mapped
 *     file that somebody cuts short kills its readers with SIGBUS; the service never does so. */
#ifndef DEJA_SHM_DEJA_H
#define DEJA_SHM_DEJA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DEJA_API __attribute__((visibility("default")))

/* Numbers are part of the ABI and only ever added to. */
typedef enum deja_status {
  DEJA_OK = 0,
  DEJA_ABSENT = 1,     /* no such appliance is being served here; start it, or check the name */
  DEJA_UNKNOWN = 2,    /* the user has no profile (never had, or it was evicted) */
  DEJA_BUSY = 3,       /* the profile kept changing during the copy; try again */
  DEJA_STALE = 4,      /* this incarnation has ended, or the profile is of another: reattach */
  DEJA_NEWER = 5,      /* the appliance has a layout that this library does not know: update it */
  DEJA_DAMAGED = 6,    /* the files are not what they say; restart the appliance */
  DEJA_DENIED = 7,     /* this process may not read the files */
  DEJA_NO_FEATURE = 8, /* no feature of that name or number in this incarnation */
  DEJA_WRONG_TYPE = 9, /* the feature has another type than was asked for */
  DEJA_EMPTY = 10,     /* the feature has no value at that instant */
  DEJA_MISUSE = 11,    /* an argument can't be: null, empty, misaligned, an unfilled profile */
  DEJA_TIMEOUT = 12,   /* deja_wait: not visible yet */
  DEJA_END = 13,       /* deja_next: all were visited */
  DEJA_RESOURCES = 14  /* out of memory, descriptors or address space */
} deja_status;

/* A sentence without a line end, never NULL; for messages, not to be compared with. */
DEJA_API const char* deja_status_text(deja_status status);

/* --- an appliance -------------------------------------------------------------------------- */

typedef struct deja_appliance deja_appliance;

/* Opens the appliance `name` whose files lie in <directory>/deja-<name>/; NULL is /dev/shm. On
 * DEJA_OK *appliance is a handle for deja_close; else it is NULL. Takes as long as mapping a few
 * files; while a server is just starting it may nap up to 100 ms. Does not wait for one to start.
 * DEJA_ABSENT, DEJA_NEWER, DEJA_DAMAGED, DEJA_DENIED, DEJA_MISUSE, DEJA_RESOURCES. */
DEJA_API deja_status deja_open(const char* name, const char* directory, deja_appliance** appliance);

/* Unmaps and frees. NULL is allowed. Texts and names got from the handle are gone. */
DEJA_API void deja_close(deja_appliance* appliance);

/* Turns the handle to the incarnation that is there now. DEJA_OK: it is current (and was left alone
 * if it had been). Otherwise the handle is as it was: DEJA_ABSENT while the server is away, so try
 * again later; never naps. After a change: profiles copied before are DEJA_STALE, features must be
 * found again, deja_profile_bytes may differ. */
DEJA_API deja_status deja_reattach(deja_appliance* appliance);

/* DEJA_OK, or DEJA_STALE once the incarnation was superseded or stopped. One load. */
DEJA_API deja_status deja_state(const deja_appliance* appliance);

/* With `allow` != 0 deja_get, deja_get_many and deja_next go on reading the last state of an
 * incarnation that has ended, and deja_state alone says so. The default is 0. */
DEJA_API void deja_allow_stale(deja_appliance* appliance, int allow);

/* One life of the appliance's memory; grows with each. */
DEJA_API uint64_t deja_incarnation(const deja_appliance* appliance);

/* When the server last gave a sign of life, microseconds since the epoch; it does so at least once
 * a second. */
DEJA_API int64_t deja_heartbeat_us(const deja_appliance* appliance);

/* Copies given up as DEJA_BUSY with this handle, by all threads. */
DEJA_API uint64_t deja_busy_count(const deja_appliance* appliance);

/* Now, microseconds since the epoch, by the kernel's tick (1 to 4 ms old): a few nanoseconds, where
 * an exact clock can cost as much as reading a profile. */
DEJA_API int64_t deja_now_us(void);

/* --- profiles --------------------------------------------------------------------------------- */

/* A profile's key: up to 64 bytes, any bytes. */
typedef struct deja_key {
  const char* bytes;
  uint32_t size;
  uint32_t name_space; /* 0: userId, 1: anonymousId */
} deja_key;

static inline deja_key deja_user(const char* bytes, uint32_t size) {
  deja_key key;
  key.bytes = bytes;
  key.size = size;
  key.name_space = 0;
  return key;
}
static inline deja_key deja_anonymous(const char* bytes, uint32_t size) {
  deja_key key = deja_user(bytes, size);
  key.name_space = 1;
  return key;
}

/* A copy of one profile, in memory of the caller: deja_profile_bytes of it, 8-byte aligned (as
 * malloc gives it), freed by whoever made it. It needs no initialization: deja_get fills it. */
typedef struct deja_profile deja_profile;

/* Bytes of a copy, a multiple of 8; the same as long as the handle is not reattached. */
DEJA_API size_t deja_profile_bytes(const deja_appliance* appliance);

/* Copies the key's profile: one version, whole. Allocates nothing, calls nothing, waits for nobody;
 * a hash of the key, a copy of the bytes and their cache misses. Unless DEJA_OK the copy counts as
 * unfilled. DEJA_UNKNOWN, DEJA_BUSY, DEJA_STALE, DEJA_MISUSE. */
DEJA_API deja_status deja_get(const deja_appliance* appliance, deja_key key, deja_profile* profile);

/* Copies a page of users: `count` keys into `count` copies that lie deja_profile_bytes apart, with
 * a status each (as deja_get's). Faster than one after the other, since the cache misses overlap.
 * Each profile is whole; together they are not of one instant. DEJA_OK, DEJA_STALE (nothing was
 * read), DEJA_MISUSE. */
DEJA_API deja_status deja_get_many(const deja_appliance* appliance, const deja_key* keys,
                                   size_t count, deja_profile* profiles, deja_status* statuses);

/* The copy with number `index` of those that deja_get_many filled. */
DEJA_API deja_profile* deja_profile_at(const deja_appliance* appliance, deja_profile* profiles,
                                       size_t index);

/* For users whom deja_get does not know: asks the appliance to bring back what it has stored of
 * them and keeps out of memory for want of room. Nobody answers; who was stored is there some
 * milliseconds later, for the next page. In a very full table some of many may find no room: ask
 * again on the next miss. Three system calls and no wait. Who was never stored costs the server a
 * look, so ask on a miss, not ahead of one.
 * DEJA_OK: asked. DEJA_UNKNOWN: no need to, all that is stored of them is in memory. DEJA_BUSY:
 * more was asked than the server keeps up with, or it is being started again; the next page may
 * try. DEJA_DENIED, DEJA_STALE, DEJA_RESOURCES, DEJA_MISUSE. */
DEJA_API deja_status deja_ask(const deja_appliance* appliance, const deja_key* keys, size_t count);

/* A place in a walk over all profiles; start with all zero. */
typedef struct deja_cursor {
  uint64_t position;
  uint32_t shard;
  uint32_t reserved;
} deja_cursor;

/* The next profile of a walk. Who is there from the first call to the last is seen exactly once;
 * each profile is whole, together they are not of one instant. DEJA_OK, DEJA_END, DEJA_BUSY (this
 * one kept changing: the cursor is past it; deja_get may still get it), DEJA_STALE, DEJA_MISUSE. */
DEJA_API deja_status deja_next(const deja_appliance* appliance, deja_cursor* cursor,
                               deja_profile* profile);

/* Facts of a filled copy; zero (a key of no bytes) for an unfilled one. */

/* Its bytes lie in the copy. */
DEJA_API deja_key deja_profile_key(const deja_profile* profile);
/* The shard's sequence after the profile's last event. */
DEJA_API uint64_t deja_sequence(const deja_profile* profile);
/* When that event was received, and how long ago that is (0 or more). */
DEJA_API int64_t deja_updated_us(const deja_profile* profile);
DEJA_API int64_t deja_age_us(const deja_profile* profile, int64_t now_us);
/* Events that were too old for a feature's window. */
DEJA_API uint32_t deja_late(const deja_profile* profile);
/* 1: the user has come back, and what was stored of the profile is still on its way. */
DEJA_API int deja_is_partial(const deja_profile* profile);

/* --- features ------------------------------------------------------------------------------ */

/* A feature's number in this incarnation: 0 … deja_feature_count - 1, in the config's order. */
typedef uint32_t deja_feature;

/* Later ones may come: a feature of a type that you don't know reads DEJA_WRONG_TYPE. */
typedef enum deja_type {
  DEJA_COUNT = 0,
  DEJA_SUM = 1,
  DEJA_MIN = 2,
  DEJA_MAX = 3,
  DEJA_MEAN = 4,
  DEJA_FIRST = 5,
  DEJA_LAST = 6,
  DEJA_RECENT = 7,
  DEJA_TOP = 8,
  DEJA_DISTINCT = 9,
  DEJA_SESSION = 10,
  DEJA_TRAIT = 11
} deja_type;

DEJA_API uint32_t deja_feature_count(const deja_appliance* appliance);
/* To be done once, not for each profile. DEJA_NO_FEATURE, DEJA_MISUSE. */
DEJA_API deja_status deja_feature_find(const deja_appliance* appliance, const char* name,
                                       deja_feature* feature);
/* The name, the handle's, until reattach or close; NULL: no such feature. */
DEJA_API const char* deja_feature_name(const deja_appliance* appliance, deja_feature feature);
/* DEJA_COUNT for a feature that there is not. */
DEJA_API deja_type deja_feature_type(const deja_appliance* appliance, deja_feature feature);
/* Most items that a recent or top feature shows; 0 for the other types. */
DEJA_API uint32_t deja_feature_keep(const deja_appliance* appliance, deja_feature feature);

/* What a copy says at `now_us`. Besides what stands there, all of them answer DEJA_NO_FEATURE,
 * DEJA_WRONG_TYPE, DEJA_STALE (the copy is of another incarnation) and DEJA_MISUSE; then *result is
 * not written. Texts lie in the copy: not terminated, UTF-8 unless an event lied, and gone when the
 * copy is filled again. */

/* count, sum, distinct; min, max, mean: DEJA_EMPTY when the window is. */
DEJA_API deja_status deja_number(const deja_appliance* appliance, const deja_profile* profile,
                                 deja_feature feature, int64_t now_us, double* result);

typedef enum deja_kind { DEJA_NULL = 1, DEJA_BOOL = 2, DEJA_NUMBER = 3, DEJA_TEXT = 4 } deja_kind;

typedef struct deja_scalar {
  deja_kind kind;
  uint32_t text_bytes;
  const char* text; /* DEJA_TEXT */
  double number;    /* DEJA_NUMBER; DEJA_BOOL as 0 or 1 */
} deja_scalar;

/* first, last, trait. DEJA_EMPTY: none yet. A trait that was removed is DEJA_NULL. */
DEJA_API deja_status deja_value(const deja_appliance* appliance, const deja_profile* profile,
                                deja_feature feature, deja_scalar* result);

/* The same where a text is expected: DEJA_EMPTY where there is no text. */
DEJA_API deja_status deja_text(const deja_appliance* appliance, const deja_profile* profile,
                               deja_feature feature, const char** text, uint32_t* text_bytes);

typedef struct deja_item {
  const char* text;
  uint32_t text_bytes;
  uint32_t reserved;
  int64_t time_us; /* recent: of the item's newest event; top: 0 */
  double weight;   /* top: at now_us; recent: 0 */
} deja_item;

/* recent (newest first), top (heaviest first): writes up to `capacity` items, the first ones, and
 * their count. DEJA_OK with a count of 0 where there are none. */
DEJA_API deja_status deja_items(const deja_appliance* appliance, const deja_profile* profile,
                                deja_feature feature, int64_t now_us, deja_item* items,
                                uint32_t capacity, uint32_t* count);

typedef struct deja_session_state {
  int64_t started_us;  /* of the newest session, as the next three */
  int64_t duration_us; /* from its first event to its last */
  uint32_t events;
  int32_t active; /* 1: an event at now_us would belong to it */
  uint32_t count; /* sessions begun so far */
  uint32_t reserved;
} deja_session_state;

/* session. DEJA_EMPTY: no event yet. */
DEJA_API deja_status deja_session(const deja_appliance* appliance, const deja_profile* profile,
                                  deja_feature feature, int64_t now_us, deja_session_state* result);

/* 1: what the feature says at now_us is an estimate (distinct, top, session: README); else 0. */
DEJA_API int deja_is_estimate(const deja_appliance* appliance, const deja_profile* profile,
                              deja_feature feature, int64_t now_us);

/* --- reading one's own click ---------------------------------------------------------------- */

/* Waits until the events that the server answered with `token` (the header Deja-Token) are visible,
 * for at most timeout_us. It polls: spins some microseconds, then naps. A token of an incarnation
 * that has ended is visible as soon as the present one serves. DEJA_OK; DEJA_TIMEOUT; DEJA_STALE
 * (the token is of a newer incarnation, or this one ended meanwhile: reattach, then wait again);
 * DEJA_MISUSE (no token). timeout_us 0 looks once. */
DEJA_API deja_status deja_wait(const deja_appliance* appliance, const char* token,
                               int64_t timeout_us);

#ifdef __cplusplus
}
#endif
#endif
