// The peer: LMDB in a scratch directory on tmpfs. A read begins a fresh snapshot, as a renderer
// that wants to see the last click has to, or goes on in an old one. One thread.
#pragma once

#include <lmdb.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "bench/support/servers.h"

namespace deja::bench {

class LmdbPeer {
 public:
  explicit LmdbPeer(std::size_t map_bytes) {
    char path[] = "/dev/shm/deja-bench-XXXXXX";
    if (mkdtemp(path) == nullptr) give_up("no scratch directory");
    directory_ = path;
    if (mdb_env_create(&environment_) != 0 || mdb_env_set_mapsize(environment_, map_bytes) != 0 ||
        mdb_env_open(environment_, path, MDB_NOSYNC | MDB_NOMETASYNC, 0600) != 0) {
      give_up("can't open LMDB");
    }
  }
  ~LmdbPeer() {
    if (reading_ != nullptr) mdb_txn_abort(reading_);
    mdb_env_close(environment_);
    std::filesystem::remove_all(directory_);
  }
  LmdbPeer(const LmdbPeer&) = delete;
  LmdbPeer& operator=(const LmdbPeer&) = delete;

  template <typename Name>
  void fill(std::uint64_t count, const std::string& value, Name&& name) {
    MDB_txn* writing = nullptr;
    if (mdb_txn_begin(environment_, nullptr, 0, &writing) != 0 ||
        mdb_dbi_open(writing, nullptr, 0, &database_) != 0) {
      give_up("can't write to LMDB");
    }
    for (std::uint64_t number = 0; number < count; ++number) {
      const std::string user = name(number);
      MDB_val key{user.size(), const_cast<char*>(user.data())};
      MDB_val bytes{value.size(), const_cast<char*>(value.data())};
      if (mdb_put(writing, database_, &key, &bytes, 0) != 0) give_up("LMDB is full");
    }
    if (mdb_txn_commit(writing) != 0 ||
        mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reading_) != 0) {
      give_up("can't commit to LMDB");
    }
  }

  void renew() {
    mdb_txn_reset(reading_);
    if (mdb_txn_renew(reading_) != 0) give_up("LMDB has no snapshot");
  }
  [[nodiscard]] bool get(const char* user, std::size_t size, MDB_val& bytes) {
    MDB_val key{size, const_cast<char*>(user)};
    return mdb_get(reading_, database_, &key, &bytes) == 0;
  }

 private:
  std::string directory_;
  MDB_env* environment_ = nullptr;
  MDB_dbi database_ = 0;
  MDB_txn* reading_ = nullptr;
};

}  // namespace deja::bench
