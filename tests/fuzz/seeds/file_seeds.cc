// Edits to a segment's files, and segments of a journal.
#include <cstddef>

#include "shm/superblock.h"
#include "tests/fuzz/seeds/seed.h"

namespace deja::fuzz {
namespace {

/// A record as tests/fuzz/segment_maker.h takes it; its sequence is below 255.
void journal_record(Seed& seed, std::uint8_t kind, std::uint8_t shard, std::uint8_t sequence,
                    std::string_view payload) {
  seed.put(kind).put(shard).put(sequence).put(static_cast<std::uint8_t>(payload.size()));
  seed.text(payload);
}

/// What an input begins with: no raw bytes, then the watermarks of four shards.
Seed journal() {
  return Seed().put<std::uint8_t>(0).text(std::string_view("\0\2\0\0", 4));
}

/// A group of an event of each of four shards.
void event_group(Seed& seed, std::uint8_t flags, std::uint8_t sequence) {
  seed.put(flags).put<std::uint8_t>(4);
  for (std::uint8_t shard = 0; shard < 4; ++shard) {
    journal_record(seed, 1, shard, sequence, std::string(1 + sequence % 3, 'i'));
  }
}

void journal_seeds(const std::string& folder) {
  const auto begun = [](std::uint8_t flags, std::uint8_t groups) {
    Seed seed = journal();
    seed.put(flags).put(groups);
    return seed;
  };
  for (const auto& [name, flags] :
       std::vector<std::pair<const char*, std::uint8_t>>{{"two_groups", 0},
                                                         {"condensed", 1},
                                                         {"another_appliance", 2},
                                                         {"other_shards", 4},
                                                         {"broken_header", 8}}) {
    Seed seed = begun(flags, 2);
    event_group(seed, 0, 1);
    event_group(seed, 0, 2);
    seed.write(folder + name);
  }
  for (const auto& [name, flags] : std::vector<std::pair<const char*, std::uint8_t>>{
           {"broken_group", 1}, {"group_elsewhere", 2}, {"hole", 8}}) {
    Seed seed = begun(0, 3);
    event_group(seed, 0, 1);
    event_group(seed, flags, 2);
    event_group(seed, 0, 3);
    seed.write(folder + name);
  }
  Seed lives = journal();
  for (std::uint8_t life = 1; life <= 12; ++life) {
    lives.put<std::uint8_t>(0).put<std::uint8_t>(1);
    event_group(lives, 0, life);
  }
  lives.write(folder + "twelve_segments");
  Seed kinds = begun(0, 1);
  kinds.put<std::uint8_t>(0).put<std::uint8_t>(7);
  journal_record(kinds, 4, 0, 7, std::string_view("\1\0\0\0\0\0\0\0", 8));
  journal_record(kinds, 1, 0, 8, "i");
  journal_record(kinds, 2, 0, 9, "");
  journal_record(kinds, 3, 0, 8, "");
  journal_record(kinds, 5, 1, 9, std::string(48, 'x'));
  journal_record(kinds, 6, 1, 9, std::string(80, 'x'));
  journal_record(kinds, 1, 2, 1, "");
  kinds.write(folder + "each_kind");
  Seed catalog = journal();
  catalog.put<std::uint8_t>(16).put<std::uint8_t>(8).text("nonsense").put<std::uint8_t>(1);
  event_group(catalog, 0, 1);
  catalog.write(folder + "another_catalog");
  Seed()
      .put<std::uint8_t>(1)
      .text("DEJAJRN1")
      .put(std::vector<std::uint8_t>(200))
      .write(folder + "raw_header");
}

void segment_seeds(const std::string& folder) {
  struct Edit {
    std::uint8_t file;
    std::uint32_t offset;
    std::vector<std::uint8_t> bytes;
  };
  const auto seed = [&](const std::string& name, const std::vector<Edit>& edits) {
    Seed made;
    for (const Edit& edit : edits) {
      made.put(edit.file).put(edit.offset);
      if ((edit.file & 0x80U) == 0) {
        made.put(static_cast<std::uint8_t>(edit.bytes.size())).put(edit.bytes);
      }
    }
    made.write(folder + name);
  };
  const auto word = [](std::uint32_t value) {
    std::vector<std::uint8_t> bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  };
  using Layout = SuperblockLayout;
  seed("as_it_was", {});
  seed("no_magic", {{0, 0, {0}}});
  seed("newer", {{0, offsetof(Layout, layout_version), word(99)}});
  seed("many_shards", {{0, offsetof(Layout, shard_count), word(1U << 20U)}});
  seed("one_shard", {{0, offsetof(Layout, shard_count), word(1)}});
  seed("fewer_blocks", {{0, offsetof(Layout, blocks_per_shard), word(4)}});
  seed("other_buckets", {{0, offsetof(Layout, main_buckets), word(3)},
                         {0, offsetof(Layout, overflow_buckets), word(9)}});
  seed("keys_and_frames",
       {{0, offsetof(Layout, key_bytes), word(64)}, {0, offsetof(Layout, frame_bytes), word(8)}});
  seed("stopped", {{0, offsetof(Layout, state), word(3)}});
  seed("files_cut_short", {{0x83, 100, {}}, {0x84, 0, {}}});
  seed("catalog", {{1, 8, {0xff, 0xff}}, {1, 200, {1, 2, 3, 4}}});
  seed("settings", {{2, 8, {0xff, 0xff, 0xff, 0x7f}}});
  seed("a_shard_s_header", {{3, 8, word(1)}});
  seed("entries", {{3, 128, {1, 0, 0, 0, 9, 9, 9, 9, 1, 0, 0, 0, 9, 9, 9, 9}}});
  seed("links", {{3, 128 + 64 * 12, {1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0}}});
  seed("a_process", {{5, 64, std::vector<std::uint8_t>(200, 0x41)}});
  seed("not_consumed", {{4, 64, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}});
}

}  // namespace

void write_file_seeds(const std::string& corpus) {
  journal_seeds(corpus + "/journal/");
  segment_seeds(corpus + "/segment/");
}

}  // namespace deja::fuzz
