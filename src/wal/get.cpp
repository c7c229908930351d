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

// What every repository answered.
struct Answers {
  std::optional<Error> failure;  // the first
  void note(Error error, const ArchiveRepository& repository) {
    if (!failure) failure = std::move(error.during("repository " + repository.name));
  }
};

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

// Asks one repository after the other; throws what one of them failed with when none has the file.
bool fetched(Archive& archive, const GetRequest& request, const std::stop_token& stop) {
  Answers answers;
  for (std::size_t i = 0; i < archive.size(); ++i) {
    try {
      const WalLine line = wal_line(archive.cluster(), archive.histories(i, stop), request.history);
      require_possible(request.file, line.segment_size);
      if (fetch_wal(archive.repository(i, stop), line, request.file, request.destination, stop)) {
        return true;
      }
    } catch (Error& error) {
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
    if (const auto behind = stored_behind(archive.repository(i, stop), line, request.file, stop)) {
      // A server that archives now may have stored both since: a segment is stored before what
      // follows it, so it is there by now, unless it is missing.
      if (fetched(archive, request, stop)) return GetOutcome::kRestored;
      throw_gap(request.file, *behind, archive.about(i).url);
    }
  }
  return GetOutcome::kAbsent;
}

HistoryName history_to_read(const std::vector<HistoryRecord>& histories, const std::string& cluster,
                            const fs::path& data_directory) {
  const auto binding = read_history_binding(data_directory);
  if (binding && binding->cluster == cluster) return binding->history;
  const std::uint64_t system = read_control_file(data_directory).parsed.system_identifier;
  for (auto record = histories.rbegin(); record != histories.rend(); ++record) {
    if (record->name.system_identifier == system && !record->fork && !record->side) {
      return record->name;
    }
  }
  throw Error(
      ErrorKind::kRefused,
      fmt::format("cluster '{}' has no history of the system identifier {}", cluster, system),
      {.object = data_directory.string(),
       .hint = "restore_command belongs to another cluster: check --config and "
               "--history."});
}

}  // namespace holdfast
