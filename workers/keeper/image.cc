#include "workers/keeper/image.h"

#include <cstring>

#include "shm/keyed_hash.h"

namespace deja {
namespace {

/// Any constant will do: the hash finds damage, it keeps nobody out.
constexpr HashSecret kContentSecret{{0x64656a612d696d67U, 0x6b65657065722d31U}};

constexpr std::size_t kChecksumOffset = offsetof(ImageHeaderLayout, checksum);

std::uint64_t checksum_of(std::string_view image) {
  // Of the header without its checksum, chained with what follows.
  const std::uint64_t head = content_hash(image.substr(0, kChecksumOffset));
  const std::uint64_t rest = content_hash(image.substr(sizeof(ImageHeaderLayout)));
  return head ^ (rest * 0x9e3779b97f4a7c15U);
}

}  // namespace

std::uint64_t content_hash(std::string_view bytes) {
  return sip_hash<1, 3>(kContentSecret, bytes.data(), static_cast<std::uint32_t>(bytes.size()),
                        static_cast<std::uint8_t>(bytes.size()));
}

void encode_image(const ProfileCopy& profile, std::uint64_t catalog_hash, std::string& image) {
  image.resize(image_bytes(profile));
  encode_image(profile, catalog_hash, image.data());
}

void encode_image(const ProfileCopy& profile, std::uint64_t catalog_hash, char* image) {
  const BlockHeaderLayout block = profile.header();
  const Key key = profile.key();
  ImageHeaderLayout header{};
  header.magic = kImageMagic;
  header.version = kImageVersion;
  header.flags = block.flags;
  header.catalog_hash = catalog_hash;
  header.sequence = block.sequence;
  header.updated_us = block.updated_us;
  header.late = block.late;
  header.frame_bytes = profile.frame_bytes();
  header.key_size = static_cast<std::uint8_t>(key.size);
  header.key_namespace = block.key_namespace;
  std::memcpy(image, &header, sizeof header);
  std::memcpy(image + sizeof header, key.bytes, key.size);
  std::memcpy(image + sizeof header + key.size, profile.frame(), profile.frame_bytes());
  const std::uint64_t checksum = checksum_of({image, image_bytes(profile)});
  std::memcpy(image + kChecksumOffset, &checksum, sizeof checksum);
}

ImageFault decode_image(std::string_view bytes, const Key& stored_under, Image& image) {
  if (bytes.size() < sizeof(ImageHeaderLayout)) return ImageFault::kTruncated;
  ImageHeaderLayout& header = image.header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kImageMagic || header.version != kImageVersion) {
    return ImageFault::kUnknownFormat;
  }
  if (bytes.size() != sizeof header + header.key_size + std::uint64_t{header.frame_bytes}) {
    return ImageFault::kTruncated;
  }
  if (checksum_of(bytes) != header.checksum) return ImageFault::kDamaged;
  if (header.key_namespace > static_cast<std::uint8_t>(KeyNamespace::kAnonymous) ||
      header.flags != 0 || header.sequence == 0 || header.sequence > kStoredNumberMax) {
    return ImageFault::kNonsense;
  }
  image.key = {static_cast<KeyNamespace>(header.key_namespace), bytes.data() + sizeof header,
               header.key_size};
  image.frame = bytes.substr(sizeof header + header.key_size);
  if (!(image.key == stored_under)) return ImageFault::kWrongKey;
  return ImageFault::kNone;
}

const char* name_of(ImageFault fault) {
  switch (fault) {
    case ImageFault::kNone:
      return "none";
    case ImageFault::kTruncated:
      return "truncated";
    case ImageFault::kUnknownFormat:
      return "unknown_format";
    case ImageFault::kDamaged:
      return "damaged";
    case ImageFault::kWrongKey:
      return "wrong_key";
    case ImageFault::kNonsense:
      return "nonsense";
  }
  return "unknown";
}

}  // namespace deja
