// Copying profiles: no allocation, no system call, no lock.
#include <ctime>

#include "shm/libdeja/profile.h"

namespace deja::libdeja {
namespace {

/// Keys whose cache misses overlap in deja_get_many.
constexpr std::size_t kGroupKeys = 16;

deja_status answer(const deja_appliance& appliance, ReadOutcome outcome, deja_profile* profile) {
  mark(appliance.attachment, profile, outcome == ReadOutcome::kFound);
  if (outcome == ReadOutcome::kFound) return DEJA_OK;
  if (outcome == ReadOutcome::kAbsent) return DEJA_UNKNOWN;
  appliance.busy_count.fetch_add(1, std::memory_order_relaxed);
  return DEJA_BUSY;
}

bool refuses_stale(const deja_appliance& appliance) {
  return !appliance.allow_stale && appliance.attachment.ended();
}

}  // namespace
}  // namespace deja::libdeja

using namespace deja::libdeja;

size_t deja_profile_bytes(const deja_appliance* appliance) {
  return appliance == nullptr ? 0 : profile_bytes(appliance->attachment);
}

deja_status deja_get(const deja_appliance* appliance, deja_key key, deja_profile* profile) {
  if (appliance == nullptr || !aligned(profile)) return DEJA_MISUSE;
  const Attachment& attachment = appliance->attachment;
  mark(attachment, profile, false);
  if (const deja_status status = check_key(attachment, key); status != DEJA_OK) return status;
  if (refuses_stale(*appliance)) return DEJA_STALE;
  const deja::Key wanted = key_from(key);
  deja::ProfileCopy copy = copy_in(attachment, profile);
  return answer(*appliance, shard_for(attachment, wanted).get(wanted, copy), profile);
}

deja_profile* deja_profile_at(const deja_appliance* appliance, deja_profile* profiles,
                              size_t index) {
  if (appliance == nullptr || profiles == nullptr) return nullptr;
  return reinterpret_cast<deja_profile*>(bytes_of(profiles) +
                                         index * profile_bytes(appliance->attachment));
}

deja_status deja_get_many(const deja_appliance* appliance, const deja_key* keys, size_t count,
                          deja_profile* profiles, deja_status* statuses) {
  if (appliance == nullptr) return DEJA_MISUSE;
  if (count == 0) return DEJA_OK;
  if (keys == nullptr || statuses == nullptr || !aligned(profiles)) return DEJA_MISUSE;
  if (refuses_stale(*appliance)) return DEJA_STALE;
  const Attachment& attachment = appliance->attachment;
  for (size_t start = 0; start < count; start += kGroupKeys) {
    const size_t group = count - start < kGroupKeys ? count - start : kGroupKeys;
    std::uint64_t hashes[kGroupKeys] = {};
    // Three passes over the group: all buckets are asked for, then all blocks, then all copied.
    for (size_t at = 0; at < group; ++at) {
      deja_status& status = statuses[start + at];
      mark(attachment, deja_profile_at(appliance, profiles, start + at), false);
      status = check_key(attachment, keys[start + at]);
      if (status != DEJA_OK) continue;
      const deja::Key key = key_from(keys[start + at]);
      hashes[at] = shard_for(attachment, key).prefetch(key);
    }
    for (size_t at = 0; at < group; ++at) {
      if (statuses[start + at] != DEJA_OK) continue;
      shard_for(attachment, key_from(keys[start + at])).prefetch_block(hashes[at]);
    }
    for (size_t at = 0; at < group; ++at) {
      deja_status& status = statuses[start + at];
      if (status != DEJA_OK) continue;
      const deja::Key key = key_from(keys[start + at]);
      deja_profile* profile = deja_profile_at(appliance, profiles, start + at);
      deja::ProfileCopy copy = copy_in(attachment, profile);
      status = answer(*appliance, shard_for(attachment, key).get(key, hashes[at], copy), profile);
    }
  }
  return DEJA_OK;
}

deja_status deja_next(const deja_appliance* appliance, deja_cursor* cursor, deja_profile* profile) {
  if (appliance == nullptr || cursor == nullptr || !aligned(profile)) return DEJA_MISUSE;
  const Attachment& attachment = appliance->attachment;
  mark(attachment, profile, false);
  if (refuses_stale(*appliance)) return DEJA_STALE;
  deja::ProfileCopy copy = copy_in(attachment, profile);
  for (; cursor->shard < attachment.geometry.shard_count; ++cursor->shard, cursor->position = 0) {
    deja::ShardCursor place{cursor->position};
    const deja::ReadOutcome outcome = attachment.shard(cursor->shard).next(place, copy);
    cursor->position = place.position;
    if (outcome != deja::ReadOutcome::kAbsent) return answer(*appliance, outcome, profile);
  }
  return DEJA_END;
}

int64_t deja_now_us(void) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}
