#include "workers/keeper/readable_fields.h"

#include <algorithm>
#include <string_view>

#include "shm/columns/finish.h"
#include "shm/value_json.h"
#include "workers/keeper/stored_profile.h"

namespace deja {

ReadableFields::ReadableFields(const StoredCatalog& catalog) {
  for (const FeatureColumn& feature : catalog.features) {
    const bool taken = std::find(kOwnFields.begin(), kOwnFields.end(),
                                 std::string_view(feature.name)) != kOwnFields.end();
    specs_.push_back(feature.spec);
    names_.push_back(text_piece(taken ? "feature:" + feature.name : feature.name));
  }
}

void ReadableFields::add_to(RespBuffer& command, const std::uint8_t* frame, std::int64_t at_us) {
  for (std::size_t at = 0; at < specs_.size(); ++at) {
    const FeatureSpec& spec = specs_[at];
    const std::uint8_t* column = frame + spec.offset;
    command.piece(names_[at]);
    // What most features are goes into the command without a stop in between.
    if (spec.type == FeatureType::kCount) {
      command.number(columns::count_at(spec, column, at_us));
      continue;
    }
    if (spec.type == FeatureType::kFirst || spec.type == FeatureType::kLast ||
        spec.type == FeatureType::kTrait) {
      const Value kept = finish_value(spec, column);
      if (kept.kind == ValueKind::kText) {
        command.text({kept.text, kept.text_bytes});
        continue;
      }
    }
    value_.clear();
    append_feature_json(value_, spec, column, at_us);
    command.text(value_);
  }
}

}  // namespace deja
