// What a filled copy says of itself, and sentences for statuses.
#include "shm/libdeja/profile.h"

using namespace deja::libdeja;

deja_key deja_profile_key(const deja_profile* profile) {
  const ProfileLayout layout = layout_of(profile);
  if (layout.incarnation == 0) return deja_user("", 0);
  const deja::BlockHeaderLayout header = header_of(profile);
  // The size comes from another process: not beyond the space there is for a key.
  const std::uint32_t size =
      header.key_size <= layout.key_bytes ? header.key_size : layout.key_bytes;
  deja_key key =
      deja_user(bytes_of(profile) + sizeof(ProfileLayout) + sizeof(deja::BlockHeaderLayout), size);
  key.name_space = header.key_namespace;
  return key;
}

uint64_t deja_sequence(const deja_profile* profile) {
  return header_of(profile).sequence;
}

int64_t deja_updated_us(const deja_profile* profile) {
  return header_of(profile).updated_us;
}

int64_t deja_age_us(const deja_profile* profile, int64_t now_us) {
  const std::int64_t updated_us = header_of(profile).updated_us;
  std::int64_t age_us = 0;
  // Clocks are set back, and the time comes from another process.
  if (__builtin_sub_overflow(now_us, updated_us, &age_us) || age_us < 0) return 0;
  return age_us;
}

uint32_t deja_late(const deja_profile* profile) {
  return header_of(profile).late;
}

int deja_is_partial(const deja_profile* profile) {
  return (header_of(profile).flags & deja::kFlagPartial) != 0 ? 1 : 0;
}

const char* deja_status_text(deja_status status) {
  switch (status) {
    case DEJA_OK:
      return "ok";
    case DEJA_ABSENT:
      return "no such appliance is being served here: start it with `deja serve`, or check its "
             "name and directory";
    case DEJA_UNKNOWN:
      return "this user has no profile";
    case DEJA_BUSY:
      return "the profile kept changing while it was copied: try again";
    case DEJA_STALE:
      return "this incarnation of the appliance has ended: attach again";
    case DEJA_NEWER:
      return "the appliance has a newer layout than this libdeja: update the library";
    case DEJA_DAMAGED:
      return "the appliance's files are not what they say: restart the appliance";
    case DEJA_DENIED:
      return "this process may not read the appliance's files: add its user to the readers' group";
    case DEJA_NO_FEATURE:
      return "the appliance has no such feature";
    case DEJA_WRONG_TYPE:
      return "the feature has another type than was asked for";
    case DEJA_EMPTY:
      return "the feature has no value at that instant";
    case DEJA_MISUSE:
      return "an argument can't be: see the function's contract in shm/deja.h";
    case DEJA_TIMEOUT:
      return "the event is not visible yet";
    case DEJA_END:
      return "all profiles were visited";
    case DEJA_RESOURCES:
      return "out of memory, file descriptors or address space";
  }
  return "unknown status";
}
