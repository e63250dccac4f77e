// The exact bytes of a profile that Redis keeps in the field "image" and that are restored from it:
// a header, the key, the frame. What lies in Redis is anybody's: decode_image() trusts no byte.
// Pure functions; any thread.
//
//   0       4         6       8              16         24           32     36
//   ┌───────┬─────────┬───────┬──────────────┬──────────┬────────────┬──────┬─────────────┐
//   │ magic │ version │ flags │ catalog_hash │ sequence │ updated_us │ late │ frame_bytes │
//   └───────┴─────────┴───────┴──────────────┴──────────┴────────────┴──────┴─────────────┘
//   40         41              42 (zero)   48         56
//   ┌──────────┬───────────────┬───────────┬──────────┬─────┬───────┐
//   │ key_size │ key_namespace │ reserved  │ checksum │ key │ frame │   key: key_size bytes, no
//   padding └──────────┴───────────────┴───────────┴──────────┴─────┴───────┘   frame: frame_bytes
//
// The checksum is over everything but itself. Little endian, as the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "shm/block.h"
#include "shm/key.h"

namespace deja {

inline constexpr std::uint32_t kImageMagic = 0x494a4544;  // "DEJI"
inline constexpr std::uint16_t kImageVersion = 1;
/// Sequences and epochs are compared by Redis as doubles, which are exact up to here.
inline constexpr std::uint64_t kStoredNumberMax = (std::uint64_t{1} << 53U) - 1;

struct ImageHeaderLayout {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t flags;
  std::uint64_t catalog_hash;
  std::uint64_t sequence;
  std::int64_t updated_us;
  std::uint32_t late;
  std::uint32_t frame_bytes;
  std::uint8_t key_size;
  std::uint8_t key_namespace;
  std::uint8_t reserved[6];
  std::uint64_t checksum;
};
static_assert(sizeof(ImageHeaderLayout) == 56);
static_assert(offsetof(ImageHeaderLayout, catalog_hash) == 8);
static_assert(offsetof(ImageHeaderLayout, frame_bytes) == 36);
static_assert(offsetof(ImageHeaderLayout, checksum) == 48);

/// A hash of stored bytes: tells damage, and catalogs apart; no secret in it.
[[nodiscard]] std::uint64_t content_hash(std::string_view bytes);

[[nodiscard]] inline std::size_t image_bytes(const ProfileCopy& profile) {
  return sizeof(ImageHeaderLayout) + profile.key().size + profile.frame_bytes();
}
/// Writes the image of a consistent copy, image_bytes() of it.
void encode_image(const ProfileCopy& profile, std::uint64_t catalog_hash, char* image);
/// Replaces `image` by it.
void encode_image(const ProfileCopy& profile, std::uint64_t catalog_hash, std::string& image);

enum class [[nodiscard]] ImageFault : std::uint8_t{
    kNone,
    kTruncated,  ///< sizes and length disagree
    kUnknownFormat,
    kDamaged,   ///< checksum
    kWrongKey,  ///< not the key it is stored under
    kNonsense,  ///< a sequence, flag or namespace that can't be
};

/// Views into the bytes that were decoded.
struct Image {
  ImageHeaderLayout header;
  Key key;
  std::string_view frame;
};

/// `stored_under`: the key that the name in Redis says.
ImageFault decode_image(std::string_view bytes, const Key& stored_under, Image& image);

/// For counters and messages: "truncated", "damaged", …
[[nodiscard]] const char* name_of(ImageFault fault);

}  // namespace deja
