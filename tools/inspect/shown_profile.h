// A profile as people and programs see it: every feature finished at one instant, read through
// libdeja as any renderer would. Any thread with its own handle; it allocates.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shm/deja.h"

namespace deja {

/// Closes a handle.
struct ApplianceCloser {
  void operator()(deja_appliance* appliance) const { deja_close(appliance); }
};
using ApplianceHandle = std::unique_ptr<deja_appliance, ApplianceCloser>;

/// Memory for one copy of a profile of this handle's incarnation.
class ProfileBuffer {
 public:
  explicit ProfileBuffer(const deja_appliance* appliance)
      : words_(deja_profile_bytes(appliance) / sizeof(std::uint64_t) + 1) {}
  [[nodiscard]] deja_profile* get() { return reinterpret_cast<deja_profile*>(words_.data()); }

 private:
  std::vector<std::uint64_t> words_;
};

struct ShownItem {
  std::string text;
  double weight = 0;
  std::int64_t time_us = 0;
};
struct ShownRecent {
  std::vector<ShownItem> items;
};
struct ShownTop {
  std::vector<ShownItem> items;
};
struct ShownNumber {
  double number = 0;
};
struct ShownText {
  std::string text;
};
struct ShownBool {
  bool truth = false;
};
/// monostate: no value (null).
using ShownValue = std::variant<std::monostate, ShownNumber, ShownText, ShownBool, ShownRecent,
                                ShownTop, deja_session_state>;

struct ShownFeature {
  std::string name;
  deja_type type = DEJA_COUNT;
  ShownValue value;
  bool estimate = false;
};

struct ShownProfile {
  std::string user;  ///< "anon:ID" for an anonymous one
  std::uint64_t sequence = 0;
  std::int64_t updated_us = 0;
  std::int64_t age_us = 0;
  std::uint32_t late = 0;
  bool partial = false;
  std::vector<ShownFeature> features;
};

/// "anon:ID" and "ID" as keys; nothing for a text that can't be one (empty, or too long). The key's
/// bytes are the text's.
[[nodiscard]] std::optional<deja_key> parse_user(std::string_view user);

/// Reads all features of a filled copy, or only those named in `only` (empty: all).
[[nodiscard]] ShownProfile shown_profile(const deja_appliance* appliance,
                                         const deja_profile* profile, std::int64_t at_us,
                                         const std::vector<std::string>& only = {});

/// {"user":…,"sequence":…,"updated":…,"age_us":…,"features":{…},"estimates":[…],"late":…}, and
/// "partial":true where it is.
void append_shown_json(std::string& out, const ShownProfile& profile);

/// Lines for a person, without escape sequences but `style`'s.
struct Style;
[[nodiscard]] std::string profile_table(const ShownProfile& profile, std::int64_t at_us,
                                        const Style& style);

}  // namespace deja
