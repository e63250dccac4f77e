// Features of a copied profile, finished at the caller's instant (shm/columns/finish.h).
#include "shm/columns/finish.h"

#include "shm/libdeja/profile.h"

namespace deja::libdeja {
namespace {

/// Items that fit on the stack without a thought; kKeepMax of them take 24 KiB.
constexpr std::uint32_t kFewItems = 64;

/// The feature's spec and column in a copy, or why there is none.
struct Column {
  deja_status status = DEJA_MISUSE;
  const FeatureSpec* spec = nullptr;
  const std::uint8_t* bytes = nullptr;
};

Column column_of(const deja_appliance* appliance, const deja_profile* profile,
                 deja_feature feature) {
  if (appliance == nullptr || !aligned(profile)) return {};
  const Attachment& attachment = appliance->attachment;
  if (feature >= attachment.feature_count) return {DEJA_NO_FEATURE, nullptr, nullptr};
  const ProfileLayout layout = layout_of(profile);
  if (layout.incarnation == 0) return {};
  if (layout.incarnation != attachment.incarnation) return {DEJA_STALE, nullptr, nullptr};
  const Feature& found = attachment.features[feature];
  if (!found.readable) return {DEJA_WRONG_TYPE, nullptr, nullptr};
  const char* frame = bytes_of(profile) + sizeof(ProfileLayout) + TableGeometry::kBlockHeaderBytes +
                      attachment.geometry.key_bytes;
  return {DEJA_OK, &found.spec, reinterpret_cast<const std::uint8_t*>(frame) + found.spec.offset};
}

template <std::uint32_t kItems>
std::uint32_t top_items(const Column& column, std::int64_t now_us, deja_item* items,
                        std::uint32_t capacity) {
  TopItem found[kItems];
  const std::uint32_t limit = capacity < kItems ? capacity : kItems;
  const std::uint32_t count = finish_top(*column.spec, column.bytes, now_us, found, limit);
  for (std::uint32_t at = 0; at < count; ++at) {
    items[at] = {found[at].text, found[at].text_bytes, 0, 0, found[at].weight};
  }
  return count;
}

std::uint32_t recent_items(const Column& column, deja_item* items, std::uint32_t capacity) {
  std::uint32_t count = 0;
  while (count < column.spec->keep && count < capacity) {
    const columns::RecentPlace place = columns::recent_place(*column.spec, column.bytes, count);
    if (place.time == 0) break;
    items[count++] = {place.text, place.bytes, 0, columns::decode_instant(place.time), 0};
  }
  return count;
}

}  // namespace
}  // namespace deja::libdeja

using namespace deja::libdeja;

uint32_t deja_feature_count(const deja_appliance* appliance) {
  return appliance == nullptr ? 0 : appliance->attachment.feature_count;
}

deja_status deja_feature_find(const deja_appliance* appliance, const char* name,
                              deja_feature* feature) {
  if (appliance == nullptr || name == nullptr || feature == nullptr) return DEJA_MISUSE;
  for (std::uint32_t at = 0; at < appliance->attachment.feature_count; ++at) {
    if (std::strcmp(appliance->attachment.features[at].name, name) == 0) {
      *feature = at;
      return DEJA_OK;
    }
  }
  return DEJA_NO_FEATURE;
}

const char* deja_feature_name(const deja_appliance* appliance, deja_feature feature) {
  if (feature >= deja_feature_count(appliance)) return nullptr;
  return appliance->attachment.features[feature].name;
}

deja_type deja_feature_type(const deja_appliance* appliance, deja_feature feature) {
  if (feature >= deja_feature_count(appliance)) return DEJA_COUNT;
  return static_cast<deja_type>(appliance->attachment.features[feature].spec.type);
}

uint32_t deja_feature_keep(const deja_appliance* appliance, deja_feature feature) {
  if (feature >= deja_feature_count(appliance)) return 0;
  const Feature& found = appliance->attachment.features[feature];
  const bool list =
      found.spec.type == deja::FeatureType::kRecent || found.spec.type == deja::FeatureType::kTop;
  return found.readable && list ? found.spec.keep : 0;
}

deja_status deja_number(const deja_appliance* appliance, const deja_profile* profile,
                        deja_feature feature, int64_t now_us, double* result) {
  const Column column = column_of(appliance, profile, feature);
  if (result == nullptr) return DEJA_MISUSE;
  if (column.status != DEJA_OK) return column.status;
  switch (column.spec->type) {
    case deja::FeatureType::kCount:
    case deja::FeatureType::kSum:
    case deja::FeatureType::kMin:
    case deja::FeatureType::kMax:
    case deja::FeatureType::kMean:
    case deja::FeatureType::kDistinct:
      break;
    default:
      return DEJA_WRONG_TYPE;
  }
  const deja::FinishedNumber number = deja::finish_number(*column.spec, column.bytes, now_us);
  if (number.empty) return DEJA_EMPTY;
  *result = number.number;
  return DEJA_OK;
}

deja_status deja_value(const deja_appliance* appliance, const deja_profile* profile,
                       deja_feature feature, deja_scalar* result) {
  const Column column = column_of(appliance, profile, feature);
  if (result == nullptr) return DEJA_MISUSE;
  if (column.status != DEJA_OK) return column.status;
  if (column.spec->type != deja::FeatureType::kFirst &&
      column.spec->type != deja::FeatureType::kLast &&
      column.spec->type != deja::FeatureType::kTrait) {
    return DEJA_WRONG_TYPE;
  }
  const deja::Value value = deja::finish_value(*column.spec, column.bytes);
  if (value.absent()) return DEJA_EMPTY;
  result->kind = static_cast<deja_kind>(value.kind);
  result->number = value.number;
  result->text = value.text;
  result->text_bytes = value.text_bytes;
  return DEJA_OK;
}

deja_status deja_text(const deja_appliance* appliance, const deja_profile* profile,
                      deja_feature feature, const char** text, uint32_t* text_bytes) {
  if (text == nullptr || text_bytes == nullptr) return DEJA_MISUSE;
  deja_scalar value;
  const deja_status status = deja_value(appliance, profile, feature, &value);
  if (status != DEJA_OK) return status;
  if (value.kind != DEJA_TEXT) return DEJA_EMPTY;
  *text = value.text;
  *text_bytes = value.text_bytes;
  return DEJA_OK;
}

deja_status deja_items(const deja_appliance* appliance, const deja_profile* profile,
                       deja_feature feature, int64_t now_us, deja_item* items, uint32_t capacity,
                       uint32_t* count) {
  const Column column = column_of(appliance, profile, feature);
  if (count == nullptr || (items == nullptr && capacity != 0)) return DEJA_MISUSE;
  if (column.status != DEJA_OK) return column.status;
  if (column.spec->type == deja::FeatureType::kRecent) {
    *count = recent_items(column, items, capacity);
    return DEJA_OK;
  }
  if (column.spec->type != deja::FeatureType::kTop) return DEJA_WRONG_TYPE;
  *count = capacity <= kFewItems || column.spec->keep <= kFewItems
               ? top_items<kFewItems>(column, now_us, items, capacity)
               : top_items<deja::kKeepMax>(column, now_us, items, capacity);
  return DEJA_OK;
}

deja_status deja_session(const deja_appliance* appliance, const deja_profile* profile,
                         deja_feature feature, int64_t now_us, deja_session_state* result) {
  const Column column = column_of(appliance, profile, feature);
  if (result == nullptr) return DEJA_MISUSE;
  if (column.status != DEJA_OK) return column.status;
  if (column.spec->type != deja::FeatureType::kSession) return DEJA_WRONG_TYPE;
  const deja::FinishedSession session = deja::finish_session(*column.spec, column.bytes, now_us);
  if (!session.present) return DEJA_EMPTY;
  *result = {session.started_us,     session.duration_us, session.events,
             session.active ? 1 : 0, session.count,       0};
  return DEJA_OK;
}

int deja_is_estimate(const deja_appliance* appliance, const deja_profile* profile,
                     deja_feature feature, int64_t now_us) {
  const Column column = column_of(appliance, profile, feature);
  if (column.status != DEJA_OK) return 0;
  return deja::is_estimate(*column.spec, column.bytes, now_us) ? 1 : 0;
}
