#include "wal/get.h"

#include "core/fault_point.h"
#include "core/text.h"
#include "postgres/control_file.h"
#include "repository/wal_object.h"
#include "wal/get_destination.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void throw_gap(const WalFileName& file, const std::string& behind,
                            const std::string& url) {
  throw Error(ErrorKind::kDamage,
              fmt::format("{} is missing from the archive, but {} is stored: this is a gap, not "
                          "the end",
                          file.text, behind),
              {.object = url,
               .hint = "Recovery stops here, so that nothing is lost silently. Bring the file back "
                       "from another copy of the repository, or recover to a target before the "
                       "gap; 'holdfast window' shows what can be reached."});
}

void require_possible(const WalFileName& file, WalSegmentSize size) {
  if (file.segment.empty() || parse_segment_name(file.segment, size)) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("no segment of {} has this name", human_bytes(size.bytes)),
              {.object = file.text});
}

// What the repositories failed with: the first one's error, and what the others said.
struct Answers {
  std::optional<Error> failure;
  void note(Error error, const ArchiveRepository& repository) {
    error.during("repository " + repository.name);
    if (!failure) {
      failure = std::move(error);
      return;
    }
    failure =
        Error(failure->kind(), fmt::format("{}; {}", failure->message(), error.message()),
              {failure->object(), failure->hint(), failure->retryable() || error.retryable()});
  }
};

std::optional<HistoryName> history_of(const std::vector<HistoryRecord>& histories,
                                      std::uint64_t system_identifier) {
  for (auto record = histories.rbegin(); record != histories.rend(); ++record) {
    if (record->name.system_identifier == system_identifier && !record->fork && !record->side) {
      return record->name;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<WalIdentity> fetch_wal(const Repository& repository, const WalLine& line,
                                     const WalFileName& file, const fs::path& destination,
                                     const std::stop_token& stop) {
  for (const WalCandidate& candidate : find_candidates(repository, line, file, stop)) {
    GetDestination out(destination);
    const auto identity = read_wal(repository, candidate.place, file, candidate.object, stop,
                                   [&](ByteView piece) { out.write(piece); });
    if (!identity) continue;
    fault_point("get.fetched");
    out.publish(identity->bytes);
    return identity;
  }
  return std::nullopt;
}

namespace {

// Runs `ask`; false when it fails, with which is no reason not to ask the next repository.
template <class Ask>
bool try_to(const ArchiveRepository& repository, Answers& answers, Ask ask) {
  try {
    ask();
    return true;
  } catch (Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    answers.note(std::move(error), repository);
    return false;
  }
}

// Asks one repository after the other; throws what one of them failed with when none has the file.
bool fetched(Archive& archive, const GetRequest& request, const std::stop_token& stop) {
  Answers answers;
  for (std::size_t i = 0; i < archive.size(); ++i) {
    WalLine line;
    // A key or a secret that cannot be read is this repository's own trouble.
    if (!try_to(archive.about(i), answers, [&] {
          line = wal_line(archive.cluster(), archive.histories(i, stop), request.history);
          require_possible(request.file, line.segment_size);
        })) {
      continue;
    }
    try {
      if (fetch_wal(archive.repository(i, stop), line, request.file, request.destination, stop)) {
        return true;
      }
    } catch (Error& error) {
      // No other repository mends a destination that cannot be written.
      if (error.kind() == ErrorKind::kCancelled || error.kind() == ErrorKind::kHost) throw;
      answers.note(std::move(error), archive.about(i));
    }
  }
  if (answers.failure) throw *answers.failure;
  return false;
}

}  // namespace

GetOutcome get_wal(Archive& archive, const GetRequest& request, const std::stop_token& stop) {
  if (archive.size() == 0) {
    throw Error(ErrorKind::kConfiguration, "no repository of the configuration holds WAL");
  }
  if (fetched(archive, request, stop)) return GetOutcome::kRestored;
  fault_point("get.absent");
  for (std::size_t i = 0; i < archive.size(); ++i) {
    const WalLine line = wal_line(archive.cluster(), archive.histories(i, stop), request.history);
    const StoredBehind asked{.line = line, .file = request.file, .is_standby = request.is_standby};
    if (const auto behind = stored_behind(archive.repository(i, stop), asked, stop)) {
      // A server that archives now may have stored both since: a segment is stored before what
      // follows it, so it is there by now, unless it is missing.
      if (fetched(archive, request, stop)) return GetOutcome::kRestored;
      throw_gap(request.file, *behind, archive.about(i).url);
    }
  }
  return GetOutcome::kAbsent;
}

HistoryName history_to_read(Archive& archive, const fs::path& data_directory,
                            const std::stop_token& stop) {
  const auto binding = read_history_binding(data_directory);
  if (binding && binding->cluster == archive.cluster()) return binding->history;
  const std::uint64_t system = read_control_file(data_directory).parsed.system_identifier;
  Answers answers;
  for (std::size_t i = 0; i < archive.size(); ++i) {
    std::optional<HistoryName> found;
    try_to(archive.about(i), answers,
           [&] { found = history_of(archive.histories(i, stop), system); });
    if (found) return *found;
  }
  if (answers.failure) throw *answers.failure;
  throw Error(ErrorKind::kRefused,
              fmt::format("cluster '{}' has no history of the system identifier {}",
                          archive.cluster(), system),
              {.object = data_directory.string(),
               .hint = "restore_command belongs to another cluster: check --config and "
                       "--history."});
}

}  // namespace holdfast
