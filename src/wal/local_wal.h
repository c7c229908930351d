#pragma once
// A WAL file on this machine, as PostgreSQL hands it to archive-push: what it is, whether it may be
// archived, and its content packed for repositories.
//
// Checked (invariant 4): the name is one that PostgreSQL archives; a segment is complete and its
// first page carries this cluster's system identifier, the segment's own address and size, and a
// timeline that is not newer than the segment's (the first segment after a promotion begins with
// pages of the older one); a timeline history can be read. Partial segments and backup labels are
// taken as they are.
// Errors: kUsage for a name that is none of WAL or a file that does not exist, kRefused for WAL of
//   another cluster, kDamage for what is no segment or no timeline history, kHost where the file
//   cannot be read.
// Memory: at most one part of kWalPartBytes and its compressed form, whatever the segment size.
// Threads: one at a time for each object.

#include <filesystem>
#include <memory>

#include "repository/wal_object.h"
#include "seal/chunk.h"
#include "system/files.h"

namespace holdfast {

struct WalCluster {
  std::uint64_t system_identifier = 0;
  WalSegmentSize segment_size;
};

class LocalWal {
 public:
  // Reads and hashes the whole file.
  LocalWal(const std::filesystem::path& path, const WalCluster& cluster);

  const WalIdentity& identity() const { return identity_; }
  // Compresses. The result refers to this object and may be put into any number of repositories.
  PackedWal pack(const CompressionChoice& compression);

 private:
  // From 1; into buffer_, when it is as it was hashed.
  ByteView read_part(std::uint32_t number);
  void read_exactly(std::uint64_t offset, MutableByteView out) const;
  void hash_and_measure();
  void check_segment() const;
  void check_timeline_history() const;
  std::vector<PackedChunk> pack_part(std::uint32_t number);
  std::optional<SegmentIndex> index();

  std::filesystem::path path_;
  FileDescriptor fd_;
  WalIdentity identity_;
  Buffer buffer_;
  std::uint32_t in_buffer_ = 0;  // number of the part in buffer_; 0: none
  std::vector<Checksum128> parts_;
  std::unique_ptr<Compressor> compressor_;
};

}  // namespace holdfast
