// The C++ face of libdeja: owners and typed getters over shm/deja.h, which is the manual. Header
// only, C++20. Nothing throws but std::bad_alloc where a std::vector or a profile's memory is made.
//
//   auto shop = deja::Appliance::open("shop");
//   if (!shop) return fail(shop.status_text());
//   auto views = shop->feature("views_1h");
//   deja::Profile profile = shop->make_profile();            // once; used again and again
//   if (shop->get("u17", profile) == DEJA_OK) {
//     double count = profile.number(*views, shop->now_us()).value_or(0);
//   }
//
// Threads: as in deja.h. An Appliance outlives its profiles; both can be moved.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/deja.h"

namespace deja {

/// A value, or the status that says why there is none.
template <typename T>
class [[nodiscard]] Answer {
 public:
  Answer(T value) : value_(std::move(value)), status_(DEJA_OK) {}  // NOLINT: implicit
  Answer(deja_status status) : status_(status) {}                  // NOLINT: implicit

  explicit operator bool() const { return status_ == DEJA_OK; }
  [[nodiscard]] deja_status status() const { return status_; }
  [[nodiscard]] const char* status_text() const { return deja_status_text(status_); }
  /// Only where the answer is true.
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  [[nodiscard]] T value_or(T fallback) const { return value_ ? *value_ : std::move(fallback); }

 private:
  std::optional<T> value_;
  deja_status status_;
};

inline deja_key user_key(std::string_view id) {
  return deja_user(id.data(), static_cast<std::uint32_t>(id.size()));
}
inline deja_key anonymous_key(std::string_view id) {
  return deja_anonymous(id.data(), static_cast<std::uint32_t>(id.size()));
}

/// A copy of one profile and the memory that it lies in.
class Profile {
 public:
  struct Item {
    std::string_view text;  ///< in the copy
    std::int64_t time_us;   ///< recent
    double weight;          ///< top
  };

  [[nodiscard]] std::string_view key() const {
    const deja_key key = deja_profile_key(get());
    return {key.bytes, key.size};
  }
  [[nodiscard]] bool anonymous() const { return deja_profile_key(get()).name_space == 1; }
  [[nodiscard]] std::uint64_t sequence() const { return deja_sequence(get()); }
  [[nodiscard]] std::int64_t updated_us() const { return deja_updated_us(get()); }
  [[nodiscard]] std::int64_t age_us(std::int64_t now_us) const {
    return deja_age_us(get(), now_us);
  }
  [[nodiscard]] std::uint32_t late() const { return deja_late(get()); }
  [[nodiscard]] bool partial() const { return deja_is_partial(get()) != 0; }

  /// count, sum, min, max, mean, distinct.
  Answer<double> number(deja_feature feature, std::int64_t now_us) const {
    double result = 0;
    const deja_status status = deja_number(appliance_, get(), feature, now_us, &result);
    if (status != DEJA_OK) return status;
    return result;
  }
  /// first, last, trait.
  Answer<deja_scalar> value(deja_feature feature) const {
    deja_scalar result{};
    const deja_status status = deja_value(appliance_, get(), feature, &result);
    if (status != DEJA_OK) return status;
    return result;
  }
  /// The same where a text is expected; it lies in the copy.
  Answer<std::string_view> text(deja_feature feature) const {
    const char* text = nullptr;
    std::uint32_t bytes = 0;
    const deja_status status = deja_text(appliance_, get(), feature, &text, &bytes);
    if (status != DEJA_OK) return status;
    return std::string_view(text, bytes);
  }
  /// recent, top. Allocates.
  Answer<std::vector<Item>> items(deja_feature feature, std::int64_t now_us) const {
    std::vector<deja_item> found(deja_feature_keep(appliance_, feature));
    std::uint32_t count = 0;
    const deja_status status = deja_items(appliance_, get(), feature, now_us, found.data(),
                                          static_cast<std::uint32_t>(found.size()), &count);
    if (status != DEJA_OK) return status;
    std::vector<Item> items;
    items.reserve(count);
    for (std::uint32_t at = 0; at < count; ++at) {
      items.push_back(
          {{found[at].text, found[at].text_bytes}, found[at].time_us, found[at].weight});
    }
    return items;
  }
  Answer<deja_session_state> session(deja_feature feature, std::int64_t now_us) const {
    deja_session_state result{};
    const deja_status status = deja_session(appliance_, get(), feature, now_us, &result);
    if (status != DEJA_OK) return status;
    return result;
  }
  [[nodiscard]] bool is_estimate(deja_feature feature, std::int64_t now_us) const {
    return deja_is_estimate(appliance_, get(), feature, now_us) != 0;
  }

  /// For the functions of deja.h.
  [[nodiscard]] deja_profile* get() const { return reinterpret_cast<deja_profile*>(memory_.get()); }

 private:
  friend class Appliance;
  explicit Profile(const deja_appliance* appliance)
      : appliance_(appliance), memory_(new std::uint64_t[deja_profile_bytes(appliance) / 8]()) {}

  const deja_appliance* appliance_;
  std::unique_ptr<std::uint64_t[]> memory_;
};

/// An opened appliance.
class Appliance {
 public:
  /// `directory` null: /dev/shm.
  static Answer<Appliance> open(const char* name, const char* directory = nullptr) {
    deja_appliance* appliance = nullptr;
    const deja_status status = deja_open(name, directory, &appliance);
    if (status != DEJA_OK) return status;
    return Appliance(appliance);
  }

  /// An unfilled copy of the size that this incarnation needs. Make a new one after a reattach.
  [[nodiscard]] Profile make_profile() const { return Profile(get()); }

  [[nodiscard]] deja_status get(std::string_view user, Profile& profile) const {
    return deja_get(get(), user_key(user), profile.get());
  }
  [[nodiscard]] deja_status get(deja_key key, Profile& profile) const {
    return deja_get(get(), key, profile.get());
  }

  /// For a user whom get() does not know: see deja_ask.
  [[nodiscard]] deja_status ask(deja_key key) const { return deja_ask(get(), &key, 1); }
  [[nodiscard]] deja_status ask(std::string_view user) const { return ask(user_key(user)); }

  Answer<deja_feature> feature(const char* name) const {
    deja_feature feature = 0;
    const deja_status status = deja_feature_find(get(), name, &feature);
    if (status != DEJA_OK) return status;
    return feature;
  }
  [[nodiscard]] std::uint32_t feature_count() const { return deja_feature_count(get()); }
  [[nodiscard]] std::string_view feature_name(deja_feature feature) const {
    const char* name = deja_feature_name(get(), feature);
    return name == nullptr ? std::string_view() : std::string_view(name);
  }
  [[nodiscard]] deja_type feature_type(deja_feature feature) const {
    return deja_feature_type(get(), feature);
  }

  /// Calls visit(const Profile&) for all profiles: DEJA_END when all were visited, DEJA_STALE when
  /// the incarnation ended. Those that kept changing are left out and counted in *busy_count.
  template <typename Visit>
  [[nodiscard]] deja_status for_each(Visit&& visit, std::uint64_t* busy_count = nullptr) const {
    Profile profile = make_profile();
    deja_cursor cursor{};
    for (;;) {
      const deja_status status = deja_next(get(), &cursor, profile.get());
      if (status == DEJA_OK) {
        visit(std::as_const(profile));
      } else if (status == DEJA_BUSY) {
        if (busy_count != nullptr) ++*busy_count;
      } else {
        return status;
      }
    }
  }

  [[nodiscard]] deja_status wait(const char* token, std::int64_t timeout_us) const {
    return deja_wait(get(), token, timeout_us);
  }
  [[nodiscard]] deja_status state() const { return deja_state(get()); }
  [[nodiscard]] deja_status reattach() { return deja_reattach(get()); }
  [[nodiscard]] static std::int64_t now_us() { return deja_now_us(); }

  /// For the functions of deja.h.
  [[nodiscard]] deja_appliance* get() const { return appliance_.get(); }

 private:
  struct Close {
    void operator()(deja_appliance* appliance) const { deja_close(appliance); }
  };
  explicit Appliance(deja_appliance* appliance) : appliance_(appliance) {}

  std::unique_ptr<deja_appliance, Close> appliance_;
};

}  // namespace deja
