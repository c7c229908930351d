#pragma once
// One archived WAL file as an object in a repository: written once, told apart by its content.
//
// Object, kind kWal: chunk 0 is the identity (JSON), chunk 1 the summary and chunk 2 the index of a
// segment (repository/wal_index.h; both may be empty: an index can be made anew from the content,
// and is no part of what an acknowledgement promises), the chunks after it are the content in
// pieces of 1 MiB, without the zeros at its end. A file of more than kWalPartBytes has its content
// in parts, objects of kind kWalPart, stored before the object that names them.
//
// Consistency: put_wal() answers kCreated or kSameContent only when every byte is in the
//   repository; what was there before is read for that, to its end. The object is created, never
//   replaced; parts carry the content's hash in their names, so those of two contents never mix.
// Crashes, cancellation: parts without their object may stay behind; a repeated put uses them.
// Trust: reading checks the object's checksum, every chunk's tag, the identity against the name
//   asked for, and at last the content's hash, before anything may be used as WAL.
// Errors: those of the store; kDamage, kWrongKey, kNewerFormat. "No such object" is an empty
// answer. Threads: any; a PackedWal is plain data. Memory: see each function.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/repository.h"
#include "repository/wal_file.h"
#include "repository/wal_index.h"

namespace holdfast {

inline constexpr std::size_t kWalPartBytes = std::size_t{32} << 20U;

struct WalIdentity {
  WalFileName file;
  std::uint64_t system_identifier = 0;
  WalSegmentSize segment_size;      // of the cluster
  std::uint64_t bytes = 0;          // of the file
  std::uint64_t content_bytes = 0;  // of which these are stored; zeros follow
  Checksum128 content{};            // wal_content_hash() of all bytes
};

// Tells one content from another: XXH3-128 of the file, or, of a file with several parts, of the
// hashes of the parts. Fast, because it is made anew at every call of archive-push; it finds
// accidents and other lines of WAL, and is no proof of origin (the chunks' tags are).
class WalContentHash {
 public:
  void add(ByteView piece);  // the file's bytes in order, in pieces of any length
  // Of all that was added; nothing may be added afterwards.
  Checksum128 result();
  // Of each part of kWalPartBytes, after result().
  const std::vector<Checksum128>& parts() const { return parts_; }

 private:
  Checksum128Stream part_;
  std::size_t in_part_ = 0;
  std::vector<Checksum128> parts_;
};
Checksum128 wal_content_hash(ByteView file);

// Compressed once, for any number of repositories. Holds the compressed content of one part.
struct PackedWal {
  WalIdentity identity;
  std::vector<PackedChunk> index;    // summary and index
  std::vector<PackedChunk> content;  // of a file that is one object
  // Of a file in parts: makes the chunks of part n (from 1). Called in order, once per repository.
  std::function<std::vector<PackedChunk>(std::uint32_t part)> part = {};
};
std::vector<PackedChunk> pack_wal_content(Compressor& compressor, ByteView content);
std::vector<PackedChunk> pack_wal_index(Compressor& compressor,
                                        const std::optional<SegmentIndex>& index);
std::uint32_t wal_part_count(std::uint64_t content_bytes);  // 0: the content is in the object

enum class WalPut { kCreated, kSameContent, kOtherContent };
WalPut put_wal(const Repository& repository, const WalPlace& place, const PackedWal& wal,
               const std::stop_token& stop);

struct StoredWalHead {
  WalIdentity identity;
  std::optional<SegmentSummary> summary;
};
// Reads identity and summary with one ranged request of an object of `object_bytes` (from a listing
// or a head request). nullopt when the store says that there is no such object.
std::optional<StoredWalHead> read_wal_head(const Repository& repository, const std::string& object,
                                           std::uint64_t object_bytes, const std::stop_token& stop);
// The same where the size is not known; one request more.
std::optional<StoredWalHead> read_wal_head(const Repository& repository, const std::string& object,
                                           const std::stop_token& stop);
// The index; nullopt when the object has none. Absent object: kNotFound.
std::optional<SegmentIndex> read_wal_index(const Repository& repository, const std::string& object,
                                           const std::stop_token& stop);

// Hands the content to `sink` piece by piece in order, without the zeros at its end, and returns
// the identity once the hash of everything matched; nullopt, without a call of `sink`, when the
// store says that there is no such object. What `sink` was given before an error is worthless.
// Memory: one object and one chunk.
std::optional<WalIdentity> read_wal(const Repository& repository, const WalPlace& place,
                                    const WalFileName& file, const std::string& object,
                                    const std::stop_token& stop,
                                    const std::function<void(ByteView)>& sink);

// Copies an object, with its parts, between two repositories that know the same history by the same
// name. Every chunk is opened with the one's key and sealed with the other's, and not decompressed.
// The parts are stored before the object, as put_wal() does. Memory: one object, twice.
enum class WalCopy {
  kCopied,
  kThereAlready,  // with the same content
  kOtherContent,  // nothing was changed
  kGone,          // `from` does not have it (any more)
};
struct WalCopyRoute {
  const Repository& from;
  const Repository& to;
};
WalCopy copy_wal(const WalCopyRoute& route, const std::string& object, const std::stop_token& stop);

}  // namespace holdfast
