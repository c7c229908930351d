#include "postgres/wal_record.h"

#include "postgres/crc32c.h"

namespace holdfast {
namespace {

// XLogRecord: total length 0, transaction 4, previous record 8, info 16, resource manager 17, two
// bytes of padding, CRC 20.
constexpr std::size_t kXidAt = 4;
constexpr std::size_t kPreviousAt = 8;
constexpr std::size_t kInfoAt = 16;
constexpr std::size_t kManagerAt = 17;
constexpr std::size_t kCrcAt = 20;

// What the first byte of each fragment header says; up to kMaxBlockId it is a block reference.
constexpr std::uint8_t kMaxBlockId = 32;
constexpr std::uint8_t kTopLevelXid = 252;
constexpr std::uint8_t kOrigin = 253;
constexpr std::uint8_t kLongData = 254;
constexpr std::uint8_t kShortData = 255;
static_assert(kMaxBlockId + 1 == kMaxWalBlocks);

constexpr std::uint8_t kForkMask = 0x0F;
constexpr std::uint8_t kHasImage = 0x10;
constexpr std::uint8_t kHasData = 0x20;
constexpr std::uint8_t kWillInit = 0x40;
constexpr std::uint8_t kSameRelation = 0x80;

constexpr std::uint8_t kImageHasHole = 0x01;
constexpr std::uint8_t kImageCompressed13 = 0x02;  // 13, 14
constexpr std::uint8_t kImageCompressed15 = 0x1C;  // 15 and later: pglz, lz4, zstd
constexpr int kFirstWithCompressionKinds = 15;
constexpr int kFirstWithTopLevelXid = 14;
constexpr std::uint32_t kPageBytes = 8192;
constexpr std::uint32_t kNoBlock = 0xFFFFFFFF;

// Reads that say by `failed` when they would leave the input; then they give zeros.
class Cursor {
 public:
  explicit Cursor(ByteView in) : at_(in.data()), end_(in.data() + in.size()) {}
  template <class Integer>
  Integer take() {
    if (static_cast<std::size_t>(end_ - at_) < sizeof(Integer)) {
      failed_ = true;
      at_ = end_;
      return 0;
    }
    const Integer value = load_le<Integer>(at_);
    at_ += sizeof(Integer);
    return value;
  }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  bool failed() const { return failed_; }

 private:
  const std::byte* at_;
  const std::byte* end_;
  bool failed_ = false;
};

// The header of a block's image. False when it contradicts itself; `bytes` is what the image takes.
bool decode_image(Cursor& in, int major_version, std::uint64_t& bytes) {
  const auto length = in.take<std::uint16_t>();
  const auto hole_offset = in.take<std::uint16_t>();
  const auto flags = in.take<std::uint8_t>();
  const std::uint8_t compression =
      major_version >= kFirstWithCompressionKinds ? kImageCompressed15 : kImageCompressed13;
  const bool has_hole = (flags & kImageHasHole) != 0;
  const bool compressed = (flags & compression) != 0;
  std::uint32_t hole_length = 0;
  if (length > kPageBytes) return false;
  if (!compressed) {
    hole_length = kPageBytes - length;
  } else if (has_hole) {
    hole_length = in.take<std::uint16_t>();
  }
  bytes = length;
  if (compressed && length == kPageBytes) return false;
  if (has_hole) return hole_offset != 0 && hole_length != 0 && length != kPageBytes;
  return hole_offset == 0 && hole_length == 0;
}

class RecordBody {
 public:
  RecordBody(ByteView body, int major_version, WalRecord& record)
      : body_(body), in_(body), version_(major_version), record_(record) {}

  bool decode() {
    while (in_.left() > data_bytes_) {
      if (!decode_fragment(in_.take<std::uint8_t>()) || in_.failed()) return false;
      if (has_main_data_) break;  // always the last of the headers
    }
    if (in_.failed() || in_.left() != data_bytes_) return false;
    record_.main_data = body_.last(main_bytes_);
    return true;
  }

 private:
  bool decode_fragment(std::uint8_t id) {
    switch (id) {
      case kShortData:
        return set_main_data(in_.take<std::uint8_t>());
      case kLongData:
        return set_main_data(in_.take<std::uint32_t>());
      case kOrigin:
        record_.origin = in_.take<std::uint16_t>();
        return true;
      case kTopLevelXid:
        record_.top_level_xid = in_.take<std::uint32_t>();
        return version_ >= kFirstWithTopLevelXid;
      default:
        return id <= kMaxBlockId && decode_block(id);
    }
  }

  bool set_main_data(std::uint32_t bytes) {
    main_bytes_ = bytes;
    data_bytes_ += bytes;
    has_main_data_ = true;
    return main_bytes_ <= body_.size();
  }

  bool decode_block(std::uint8_t id) {
    if (id < next_id_) return false;
    next_id_ = id + 1;
    WalBlock& block = record_.block_list[record_.block_count];
    const auto flags = in_.take<std::uint8_t>();
    const auto data_bytes = in_.take<std::uint16_t>();
    block.fork = flags & kForkMask;
    block.has_image = (flags & kHasImage) != 0;
    block.will_init = (flags & kWillInit) != 0;
    if (block.fork > kInitFork || ((flags & kHasData) != 0) != (data_bytes != 0)) return false;
    data_bytes_ += data_bytes;
    if (block.has_image) {
      std::uint64_t image_bytes = 0;
      if (!decode_image(in_, version_, image_bytes)) return false;
      data_bytes_ += image_bytes;
    }
    if ((flags & kSameRelation) == 0) {
      block.file.tablespace = in_.take<std::uint32_t>();
      block.file.database = in_.take<std::uint32_t>();
      block.file.relation = in_.take<std::uint32_t>();
    } else if (record_.block_count == 0) {
      return false;
    } else {
      block.file = record_.block_list[record_.block_count - 1].file;
    }
    block.block = in_.take<std::uint32_t>();
    ++record_.block_count;
    return block.block != kNoBlock;
  }

  ByteView body_;
  Cursor in_;
  int version_;
  WalRecord& record_;
  std::uint64_t data_bytes_ = 0;  // of blocks and main data, behind the headers
  std::size_t main_bytes_ = 0;
  unsigned next_id_ = 0;
  bool has_main_data_ = false;
};

}  // namespace

bool has_valid_wal_crc(ByteView bytes) {
  if (bytes.size() < kWalRecordHeaderBytes) return false;
  if (load_le<std::uint32_t>(bytes.data()) != bytes.size()) return false;
  const std::uint32_t body = crc32c(bytes.subspan(kWalRecordHeaderBytes));
  return load_le<std::uint32_t>(bytes.data() + kCrcAt) == crc32c(bytes.first(kCrcAt), body);
}

void decode_wal_record_header(ByteView header, WalRecord& record) {
  record.length = load_le<std::uint32_t>(header.data());
  record.xid = load_le<std::uint32_t>(header.data() + kXidAt);
  record.previous = {load_le<std::uint64_t>(header.data() + kPreviousAt)};
  record.info = load_le<std::uint8_t>(header.data() + kInfoAt);
  record.manager = load_le<std::uint8_t>(header.data() + kManagerAt);
  record.decoded = false;
  record.origin.reset();
  record.top_level_xid.reset();
  record.main_data = {};
  record.block_count = 0;
}

bool is_wal_switch(const WalRecord& record) {
  constexpr std::uint8_t kSwitchKind = 0x40;
  return record.is(WalManager::kXlog) && record.kind() == kSwitchKind;
}

void decode_wal_record(ByteView bytes, int major_version, WalRecord& record) {
  decode_wal_record_header(bytes, record);
  record.decoded = RecordBody(bytes.subspan(kWalRecordHeaderBytes), major_version, record).decode();
  if (record.decoded) return;
  record.block_count = 0;
  record.main_data = {};
}

}  // namespace holdfast
