#include "postgres/wal_content.h"

#include <algorithm>
#include <limits>

namespace holdfast {
namespace {

constexpr std::int64_t kPostgresEpoch = 946'684'800'000'000;  // 2000-01-01, in Unix microseconds
constexpr std::size_t kMaxNameBytes = 64;                     // of a restore point, with its zero
constexpr std::size_t kMaxPathBytes = 1024;

// Kinds of the WAL's own resource manager.
constexpr std::uint8_t kShutdownCheckpoint = 0x00;
constexpr std::uint8_t kOnlineCheckpoint = 0x10;
constexpr std::uint8_t kParameterChange = 0x60;
constexpr std::uint8_t kRestorePoint = 0x70;
constexpr std::uint8_t kEndOfRecovery = 0x90;
constexpr std::uint8_t kFullPageImage = 0xB0;  // the last of those that are numbered through
constexpr std::uint8_t kOverwritten = 0xD0;
constexpr std::uint8_t kCheckpointRedo = 0xE0;
constexpr int kFirstWithWalLevel = 17;  // in checkpoints, redo points and ends of recovery

// Kinds of transaction records, and what may be in those of an end.
constexpr std::uint8_t kTransactionKinds = 0x70;
constexpr std::uint8_t kCommit = 0x00;
constexpr std::uint8_t kAbort = 0x20;
constexpr std::uint8_t kCommitPrepared = 0x30;
constexpr std::uint8_t kAbortPrepared = 0x40;
constexpr std::uint8_t kHasFlags = 0x80;
constexpr std::uint8_t kLastTransactionKind13 = 0x50;
constexpr std::uint8_t kLastTransactionKind14 = 0x60;
constexpr std::uint32_t kHasDatabase = 1U << 0U;
constexpr std::uint32_t kHasSubtransactions = 1U << 1U;
constexpr std::uint32_t kHasDroppedFiles = 1U << 2U;
constexpr std::uint32_t kHasInvalidations = 1U << 3U;
constexpr std::uint32_t kHasPreparedXid = 1U << 4U;
constexpr std::uint32_t kHasDroppedStatistics = 1U << 8U;
constexpr std::size_t kInvalidationBytes = 16;

constexpr std::uint8_t kStorageCreate = 0x10;
constexpr std::uint8_t kStorageTruncate = 0x20;

constexpr std::uint8_t kDatabaseCopy = 0x00;
constexpr std::uint8_t kDatabaseCreate = 0x10;  // from 15 on
constexpr std::uint8_t kDatabaseDrop13 = 0x10;
constexpr std::uint8_t kDatabaseDrop15 = 0x20;
constexpr int kFirstWithLoggedCreation = 15;

constexpr std::uint8_t kTablespaceCreate = 0x00;
constexpr std::uint8_t kTablespaceDrop = 0x10;

// What a record's data ends too early for; thrown and caught in this file only.
struct TooShort {};

class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}
  template <class Integer>
  Integer take() {
    return load_le<Integer>(raw(sizeof(Integer)).data());
  }
  Lsn lsn() { return {take<std::uint64_t>()}; }
  TimelineId timeline() { return {take<std::uint32_t>()}; }
  Timestamp time() { return from_postgres_time(take<std::int64_t>()); }
  RelationFile file() {
    RelationFile file;
    file.tablespace = take<std::uint32_t>();
    file.database = take<std::uint32_t>();
    file.relation = take<std::uint32_t>();
    return file;
  }
  // A count, and that many things of `bytes_each`.
  ByteView array(std::size_t bytes_each) {
    const auto count = take<std::uint32_t>();
    if (count > in_.size() / bytes_each) throw TooShort{};
    return raw(count * bytes_each);
  }
  // Up to a zero byte, which must come within `most` bytes.
  std::string text(std::size_t most) {
    const ByteView front = in_.first(std::min(in_.size(), most));
    const auto zero = std::ranges::find(front, std::byte{0});
    if (zero == front.end()) throw TooShort{};
    return std::string(as_text(front.first(static_cast<std::size_t>(zero - front.begin()))));
  }
  void skip(std::size_t bytes) { raw(bytes); }
  std::size_t left() const { return in_.size(); }

 private:
  ByteView raw(std::size_t bytes) {
    if (bytes > in_.size()) throw TooShort{};
    const ByteView taken = in_.first(bytes);
    in_ = in_.subspan(bytes);
    return taken;
  }
  ByteView in_;
};

class ContentReader {
 public:
  ContentReader(const WalRecord& record, int major_version, WalContentSink& sink)
      : record_(record), in_(record.main_data), version_(major_version), sink_(sink) {}

  // False when the record is of a kind that this version does not have.
  bool read() {
    switch (static_cast<WalManager>(record_.manager)) {
      case WalManager::kXlog:
        return read_xlog();
      case WalManager::kTransaction:
        return read_transaction();
      case WalManager::kStorage:
        return read_storage();
      case WalManager::kDatabase:
        return read_database();
      case WalManager::kTablespace:
        return read_tablespace();
      case WalManager::kRelationMap:
        return read_relation_map();
    }
    return !record_.changes_files();
  }

 private:
  bool read_xlog() {
    switch (record_.kind()) {
      case kShutdownCheckpoint:
      case kOnlineCheckpoint:
        read_checkpoint();
        return true;
      case kParameterChange:
        in_.skip(5 * sizeof(std::uint32_t));  // connections, workers, senders, prepared, locks
        read_wal_level();
        return true;
      case kRestorePoint:
        read_restore_point();
        return true;
      case kEndOfRecovery:
        read_recovery_end();
        return true;
      case kCheckpointRedo:
        if (version_ < kFirstWithWalLevel) return false;
        read_wal_level();
        return true;
      default:
        return record_.kind() <= kFullPageImage || record_.kind() == kOverwritten;
    }
  }

  void read_wal_level() {
    const auto level = in_.take<std::uint32_t>();
    if (level == static_cast<std::uint32_t>(WalLevel::kMinimal)) sink_.minimal_wal(record_.start);
  }

  void read_checkpoint() {
    WalCheckpoint checkpoint{.start = record_.start, .end = record_.end};
    checkpoint.kind = record_.kind() == kShutdownCheckpoint ? WalCheckpoint::Kind::kShutdown
                                                            : WalCheckpoint::Kind::kOnline;
    checkpoint.redo = in_.lsn();
    checkpoint.timeline = in_.timeline();
    checkpoint.previous_timeline = in_.timeline();
    checkpoint.full_page_writes = in_.take<std::uint8_t>() != 0;
    in_.skip(3);
    sink_.checkpoint(checkpoint);
    if (version_ >= kFirstWithWalLevel) read_wal_level();
  }

  void read_restore_point() {
    const Timestamp time = in_.time();
    sink_.restore_point({in_.text(kMaxNameBytes), time, record_.start, record_.end});
  }

  void read_recovery_end() {
    WalRecoveryEnd end{.start = record_.start, .end = record_.end};
    end.time = in_.time();
    end.timeline = in_.timeline();
    end.previous_timeline = in_.timeline();
    sink_.recovery_end(end);
    if (version_ >= kFirstWithWalLevel) read_wal_level();
  }

  bool read_transaction() {
    const std::uint8_t kind = record_.info & kTransactionKinds;
    switch (kind) {
      case kCommit:
      case kCommitPrepared:
        read_transaction_end(FinishedTransaction::Outcome::kCommitted, kind == kCommitPrepared);
        return true;
      case kAbort:
      case kAbortPrepared:
        read_transaction_end(FinishedTransaction::Outcome::kAborted, kind == kAbortPrepared);
        return true;
      default:
        // A prepared transaction changes files only when it is finished.
        return kind <= (version_ < 14 ? kLastTransactionKind13 : kLastTransactionKind14);
    }
  }

  void read_transaction_end(FinishedTransaction::Outcome outcome, bool prepared) {
    FinishedTransaction finished{.xid = record_.xid,
                                 .outcome = outcome,
                                 .kind = prepared ? FinishedTransaction::Kind::kPrepared
                                                  : FinishedTransaction::Kind::kOrdinary,
                                 .time = in_.time(),
                                 .start = record_.start,
                                 .end = record_.end};
    const auto flags = (record_.info & kHasFlags) != 0 ? in_.take<std::uint32_t>() : 0;
    if ((flags & kHasDatabase) != 0) in_.skip(2 * sizeof(std::uint32_t));
    if ((flags & kHasSubtransactions) != 0) in_.array(sizeof(std::uint32_t));
    if ((flags & kHasDroppedFiles) != 0) read_dropped_files();
    if ((flags & kHasDroppedStatistics) != 0) in_.array(version_ >= 18 ? 16 : 12);
    if ((flags & kHasInvalidations) != 0) in_.array(kInvalidationBytes);
    if ((flags & kHasPreparedXid) != 0) finished.xid = in_.take<std::uint32_t>();
    if (prepared && (flags & kHasPreparedXid) == 0) throw TooShort{};
    sink_.transaction(finished);
  }

  void read_dropped_files() {
    constexpr std::size_t kFileBytes = 3 * sizeof(std::uint32_t);
    const ByteView files = in_.array(kFileBytes);
    for (Reader in(files); in.left() > 0;) {
      sink_.file_event(event(WalFileEvent::Kind::kDrop, in.file()));
    }
  }

  bool read_storage() {
    if (record_.kind() == kStorageCreate) {
      WalFileEvent created = event(WalFileEvent::Kind::kCreate, in_.file());
      const auto fork = in_.take<std::uint32_t>();
      if (fork > kInitFork) return false;
      created.fork = static_cast<std::uint8_t>(fork);
      sink_.file_event(std::move(created));
      return true;
    }
    if (record_.kind() != kStorageTruncate) return false;
    const auto blocks = in_.take<std::uint32_t>();
    WalFileEvent cut = event(WalFileEvent::Kind::kTruncate, in_.file());
    cut.blocks = blocks;
    const auto forks = in_.take<std::uint32_t>();
    if (forks > 7) return false;
    cut.truncated = static_cast<std::uint8_t>(forks);
    sink_.file_event(std::move(cut));
    return true;
  }

  bool read_database() {
    const bool can_log = version_ >= kFirstWithLoggedCreation;
    const std::uint8_t kind = record_.kind();
    if (kind == (can_log ? kDatabaseDrop15 : kDatabaseDrop13)) {
      read_database_drop();
      return true;
    }
    if (kind != kDatabaseCopy && !(can_log && kind == kDatabaseCreate)) return false;
    const auto database = in_.take<std::uint32_t>();
    WalFileEvent created = event(kind == kDatabaseCopy ? WalFileEvent::Kind::kDatabaseCopied
                                                       : WalFileEvent::Kind::kDatabaseCreated,
                                 {in_.take<std::uint32_t>(), database, 0});
    if (kind == kDatabaseCopy) {
      created.source_database = in_.take<std::uint32_t>();
      created.source_tablespace = in_.take<std::uint32_t>();
    }
    sink_.file_event(std::move(created));
    return true;
  }

  void read_database_drop() {
    const auto database = in_.take<std::uint32_t>();
    for (Reader in(in_.array(sizeof(std::uint32_t))); in.left() > 0;) {
      sink_.file_event(
          event(WalFileEvent::Kind::kDatabaseDropped, {in.take<std::uint32_t>(), database, 0}));
    }
  }

  bool read_tablespace() {
    const std::uint8_t kind = record_.kind();
    if (kind != kTablespaceCreate && kind != kTablespaceDrop) return false;
    WalFileEvent changed = event(kind == kTablespaceCreate ? WalFileEvent::Kind::kTablespaceCreated
                                                           : WalFileEvent::Kind::kTablespaceDropped,
                                 {in_.take<std::uint32_t>(), 0, 0});
    if (kind == kTablespaceCreate) changed.path = in_.text(kMaxPathBytes);
    sink_.file_event(std::move(changed));
    return true;
  }

  bool read_relation_map() {
    if (record_.kind() != 0) return false;
    const auto database = in_.take<std::uint32_t>();
    sink_.file_event(
        event(WalFileEvent::Kind::kRelationMap, {in_.take<std::uint32_t>(), database, 0}));
    return true;
  }

  WalFileEvent event(WalFileEvent::Kind kind, RelationFile file) const {
    WalFileEvent made;
    made.kind = kind;
    made.start = record_.start;
    made.file = file;
    return made;
  }

  const WalRecord& record_;
  Reader in_;
  int version_;
  WalContentSink& sink_;
};

}  // namespace

Timestamp from_postgres_time(std::int64_t microseconds) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() - kPostgresEpoch;
  return Timestamp(std::chrono::microseconds(std::min(microseconds, kMost) + kPostgresEpoch));
}

WalContent read_wal_content(const WalRecord& record, int major_version, WalContentSink& sink) {
  if (record.manager > kLastBuiltInWalManager) return WalContent::kUnknownManager;
  if (!record.decoded) return WalContent::kUndecodable;
  // Most records; no resource manager above it changes files in ways that only it knows.
  if (record.manager > static_cast<std::uint8_t>(WalManager::kRelationMap)) {
    return record.changes_files() ? WalContent::kUndecodable : WalContent::kUnderstood;
  }
  try {
    return ContentReader(record, major_version, sink).read() ? WalContent::kUnderstood
                                                             : WalContent::kUndecodable;
  } catch (const TooShort&) {
    return WalContent::kUndecodable;
  }
}

}  // namespace holdfast
