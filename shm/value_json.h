// A finished feature, and a whole profile, as the JSON that every face of Deja shows (command line,
// console, export). Not part of libdeja. Any thread; appends to a std::string, so it allocates; the
// frame is a private copy whose columns fit (column_fits).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "shm/feature_spec.h"
#include "shm/key.h"
#include "shm/value.h"

namespace deja {

/// What a profile is beside its features.
struct ProfileFacts {
  Key key;
  std::uint64_t sequence = 0;
  std::int64_t updated_us = 0;
  std::uint64_t late = 0;
  bool partial = false;  ///< the stored part is still on its way
};

struct NamedFeature {
  std::string_view name;
  FeatureSpec spec;
};

/// Appends null, a truth value, a number or a text; null for an absent value too.
void append_value_json(std::string& out, const Value& value);

/// Appends the feature's value at that instant: a number (count, sum, distinct: 0 when empty; min,
/// max, mean: null), a value or null (first, last, trait), ["p9","p3"] (recent),
/// [["shoes",3.25],…] (top), or null or {"events":4,"started":"…Z","duration_s":61,"active":true,
/// "count":3} (session).
void append_feature_json(std::string& out, const FeatureSpec& spec, const std::uint8_t* column,
                         std::int64_t at_us);

/// Appends {"user":…,"sequence":…,"updated":…,"age_us":…,"features":{…},"estimates":[…],"late":…},
/// and "partial":true where it is. The user of an anonymous key is "anon:ID".
void append_profile_json(std::string& out, const ProfileFacts& facts,
                         std::span<const NamedFeature> features, const std::uint8_t* frame,
                         std::int64_t at_us);

}  // namespace deja
