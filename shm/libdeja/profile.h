// The caller's memory of a profile: ProfileLayout, then the block's bytes. One thread at a time.
#pragma once

#include <cstdint>
#include <cstring>

#include "shm/libdeja/handle.h"

namespace deja::libdeja {

inline char* bytes_of(deja_profile* profile) {
  return reinterpret_cast<char*>(profile);
}
inline const char* bytes_of(const deja_profile* profile) {
  return reinterpret_cast<const char*>(profile);
}

inline bool aligned(const void* memory) {
  return memory != nullptr && reinterpret_cast<std::uintptr_t>(memory) % 8 == 0;
}

inline std::size_t profile_bytes(const Attachment& attachment) {
  return sizeof(ProfileLayout) + attachment.geometry.block_bytes();
}

inline ProfileLayout layout_of(const deja_profile* profile) {
  ProfileLayout layout{};
  if (aligned(profile)) std::memcpy(&layout, bytes_of(profile), sizeof layout);
  return layout;
}

inline BlockHeaderLayout header_of(const deja_profile* profile) {
  BlockHeaderLayout header{};
  if (layout_of(profile).incarnation != 0) {
    std::memcpy(&header, bytes_of(profile) + sizeof(ProfileLayout), sizeof header);
  }
  return header;
}

/// The copy's block; `profile` is aligned and profile_bytes() long.
inline ProfileCopy copy_in(const Attachment& attachment, deja_profile* profile) {
  return {bytes_of(profile) + sizeof(ProfileLayout), attachment.geometry};
}

/// Notes in the copy whether, and from which incarnation, it was filled.
inline void mark(const Attachment& attachment, deja_profile* profile, bool filled) {
  const ProfileLayout layout{filled ? attachment.incarnation : 0, attachment.geometry.key_bytes,
                             attachment.geometry.frame_bytes};
  std::memcpy(bytes_of(profile), &layout, sizeof layout);
}

}  // namespace deja::libdeja
