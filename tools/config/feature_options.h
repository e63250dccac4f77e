// Which options each feature type takes. One table, used by the reader of a feature; any thread.
#pragma once

#include <array>
#include <string_view>

namespace deja {

/// In the order of FeatureType.
inline constexpr std::array<std::string_view, 12> kFeatureTypes = {
    "count", "sum",    "min", "max",      "mean",    "first",
    "last",  "recent", "top", "distinct", "session", "trait"};

/// What a type takes beside `type`, `event` and `where`.
struct FeatureOptions {
  bool of = false;
  bool window = false;  ///< window, panes, tumbling
  bool bytes = false;
  bool keep = false;
  bool is_top = false;  ///< half_life, track, weights
  bool gap = false;
};
inline constexpr std::array<FeatureOptions, 12> kFeatureOptions = {{
    {.window = true},                                                           // count
    {.of = true, .window = true},                                               // sum
    {.of = true, .window = true},                                               // min
    {.of = true, .window = true},                                               // max
    {.of = true, .window = true},                                               // mean
    {.of = true, .bytes = true},                                                // first
    {.of = true, .bytes = true},                                                // last
    {.of = true, .bytes = true, .keep = true},                                  // recent
    {.of = true, .window = true, .bytes = true, .keep = true, .is_top = true},  // top
    {.of = true, .window = true},                                               // distinct
    {.gap = true},                                                              // session
    {.of = true, .bytes = true},                                                // trait
}};

struct OptionKey {
  std::string_view key;
  bool FeatureOptions::*taken;
};
inline constexpr std::array<OptionKey, 10> kOptionKeys = {{
    {"of", &FeatureOptions::of},
    {"window", &FeatureOptions::window},
    {"panes", &FeatureOptions::window},
    {"tumbling", &FeatureOptions::window},
    {"bytes", &FeatureOptions::bytes},
    {"keep", &FeatureOptions::keep},
    {"half_life", &FeatureOptions::is_top},
    {"track", &FeatureOptions::is_top},
    {"weights", &FeatureOptions::is_top},
    {"gap", &FeatureOptions::gap},
}};

}  // namespace deja
