#include "tools/config/compare_catalogs.h"

#include <map>

namespace deja {

std::vector<ConfigChange> compare_catalogs(schema::Catalog::Reader before,
                                           schema::Catalog::Reader after) {
  std::map<std::string, std::uint64_t> old_definitions;
  for (const schema::Feature::Reader feature : before.getFeatures()) {
    old_definitions.emplace(feature.getName().cStr(), feature.getDefinition());
  }
  std::vector<ConfigChange> changes;
  for (const schema::Feature::Reader feature : after.getFeatures()) {
    const std::string name = feature.getName().cStr();
    const auto old = old_definitions.find(name);
    FeatureFate fate = FeatureFate::kNew;
    if (old != old_definitions.end()) {
      const bool is_same = old->second == feature.getDefinition();
      fate = is_same ? FeatureFate::kKept : FeatureFate::kChanged;
      old_definitions.erase(old);
    }
    changes.push_back({name, fate});
  }
  for (const schema::Feature::Reader feature : before.getFeatures()) {
    const std::string name = feature.getName().cStr();
    if (old_definitions.contains(name)) changes.push_back({name, FeatureFate::kDropped});
  }
  return changes;
}

std::string changes_text(const std::vector<ConfigChange>& changes) {
  std::string kept;
  std::string empty;
  std::string dropped;
  const auto append = [](std::string& list, const std::string& name) {
    list.append(list.empty() ? "" : ", ").append(name);
  };
  for (const ConfigChange& change : changes) {
    switch (change.fate) {
      case FeatureFate::kKept:
        append(kept, change.feature);
        break;
      case FeatureFate::kNew:
        append(empty, change.feature + " (new)");
        break;
      case FeatureFate::kChanged:
        append(empty, change.feature + " (changed)");
        break;
      case FeatureFate::kDropped:
        append(dropped, change.feature);
        break;
    }
  }
  std::string text;
  const auto part = [&](std::string_view title, const std::string& list) {
    if (!list.empty()) text.append(text.empty() ? "" : "; ").append(title).append(list);
  };
  part("keeps ", kept);
  part("starts empty: ", empty);
  part("drops ", dropped);
  return text;
}

}  // namespace deja
