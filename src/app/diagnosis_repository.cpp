// Diagnosis: a repository and what is in it.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "app/diagnosis_parts.h"
#include "app/evidence_parts.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast {
namespace {

struct TroubleClass {
  std::string_view code, title, remedy;
};

bool says_any(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(
      words, [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

// By S3's codes and by errno's words, which messages carry.
TroubleClass class_of(const Trouble& trouble) {
  const std::string& text = trouble.message;
  switch (trouble.kind) {
    case ErrorKind::kWrongKey:
      return {"wrong_key", "the configured key does not open the repository",
              "Configure the key file of one of its slots; 'holdfast key list' shows them."};
    case ErrorKind::kNewerFormat:
      return {"newer_format", "the repository was written by a newer Holdfast",
              "Upgrade Holdfast on this machine."};
    case ErrorKind::kDamage:
      return {"repository_damaged", "a record of the repository is damaged",
              "Delete nothing. 'holdfast verify --all' tells what is affected; "
              "'holdfast undelete' brings objects of a versioned bucket back."};
    case ErrorKind::kConfiguration:
      return {"configuration", "the repository's configuration does not work",
              "'holdfast config check' says what is wrong with it."};
    default:
      break;
  }
  if (says_any(text, {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
                      "TokenRefreshRequired"})) {
    return {"wrong_credentials", "the storage does not accept the credentials",
            "Correct the keys that the configuration names, then 'holdfast check'."};
  }
  if (says_any(text, {"RequestTimeTooSkewed"})) {
    return {"clock_skew", "the storage refuses this machine's clock",
            "Correct the clock: 'chronyc tracking', 'timedatectl'."};
  }
  if (says_any(text, {"AccessDenied", "HTTP 403", "Permission denied", "Read-only file system"})) {
    return {"storage_denied", "the storage denies access",
            "Give back the rights (docs/s3.md, docs/setup.md), then 'holdfast check'."};
  }
  if (says_any(text, {"does not exist", "is not a Holdfast repository", "NoSuchBucket"})) {
    return {"storage_missing", "there is no repository in its place",
            "Mount the file system, or correct the URL. Only if there never was one: "
            "'holdfast init'."};
  }
  if (says_any(text, {"No space left", "Disk quota"})) {
    return {"storage_full", "the storage is full",
            "Make room, then 'holdfast expire --dry-run' shows what the policy would remove."};
  }
  if (says_any(text, {kNotSeenInTime})) {
    return {"storage_unreachable", "the storage hangs, or is very slow",
            "Look at the network and the server; 'holdfast check' tries it again."};
  }
  return {"storage_unreachable", "the storage cannot be reached",
          "Look at the network and the server; 'holdfast check' tries it again."};
}

void add_trouble(const Diagnosing& diagnosing, const RepositoryEvidence& repository,
                 const Trouble& trouble) {
  const TroubleClass which = class_of(trouble);
  const bool matters = repository.must || repository.first;
  Finding finding{
      .code = std::string(which.code),
      .severity = matters ? ProblemSeverity::kCritical : ProblemSeverity::kWarning,
      .repository = repository.name,
      .title = fmt::format("repository {}: {}", repository.name, which.title),
      .evidence = {trouble.message},
      .consequence =
          repository.must ? "WAL is not archived: PostgreSQL keeps it until its disk is full, and "
                            "what it keeps is lost with this server. No backup can be taken."
          : repository.first ? "No backup can be taken, and none restored from there."
                             : "Nothing is copied there, and nothing restored from there.",
      .remedy = std::string(which.remedy),
      .causes = {"repository_behind", "repository_rights", "retention_not_running"}};
  if (!trouble.hint.empty()) finding.evidence.push_back("hint: " + trouble.hint);
  if (repository.must) {
    finding.causes.insert(finding.causes.end(), {"archiving_failing", "wal_backlog"});
  }
  if (repository.first) {
    finding.causes.insert(finding.causes.end(), {"backup_overdue", "backup_failed"});
  }
  diagnosing.add(std::move(finding));
}

void judge_writers(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  for (const CheckFinding& writer : repository.writers) {
    diagnosing.add({.code = "two_writers",
                    .severity = writer.level == FindingLevel::kFailed ? ProblemSeverity::kCritical
                                                                      : ProblemSeverity::kWarning,
                    .repository = repository.name,
                    .title = "another server writes, or took over, this server's history",
                    .evidence = {writer.detail},
                    .consequence = "Two servers believe to be this cluster. What one of them "
                                   "writes will be thrown away.",
                    .remedy = writer.hint,
                    .causes = {"archiving_failing", "wal_backlog"}});
  }
}

void judge_gaps(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  for (const GapEvidence& gap : repository.gaps) {
    Finding finding{
        .code = "wal_gap",
        .severity = gap.open ? ProblemSeverity::kCritical : ProblemSeverity::kNotice,
        .repository = repository.name,
        .title = fmt::format("{} WAL segments are missing in {}, the first {}", gap.missing,
                             repository.name, gap.first_missing),
        .evidence = {fmt::format("from {} to {} nothing can be recovered",
                                 gap.from ? to_rfc3339_seconds(*gap.from) : "?",
                                 gap.to     ? to_rfc3339_seconds(*gap.to)
                                 : gap.open ? "now"
                                            : "the next backup")},
        .consequence = gap.open ? "Nothing behind it can be recovered until there is a new backup."
                                : "A backup was taken since: what is behind that can be recovered.",
        .remedy = gap.open
                      ? "'holdfast backup' now. 'holdfast window' shows the gap; look in other "
                        "repositories and in pg_wal for the segments."
                      : "Nothing, if nobody needs a point within it; 'holdfast window' shows "
                        "it."};
    if (repository.dropped) {
      finding.evidence.push_back("WAL was dropped to protect the disk: " +
                                 describe(repository.dropped->last));
    }
    diagnosing.add(std::move(finding));
  }
  const auto& dropped = repository.dropped;
  if (!dropped || !dropped->backup_since.empty() || !repository.gaps.empty()) return;
  diagnosing.add({.code = "wal_dropped",
                  .severity = ProblemSeverity::kCritical,
                  .repository = repository.name,
                  .title = "WAL was dropped without being stored",
                  .evidence = {describe(dropped->last)},
                  .consequence = "Nothing from there on can be recovered, until there is a backup.",
                  .remedy = "'holdfast backup' now."});
}

void judge_lag(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  if (!repository.lag) return;
  diagnosing.add({.code = "repository_behind",
                  .severity = ProblemSeverity::kWarning,
                  .repository = repository.name,
                  .title = describe(*repository.lag),
                  .evidence = {"seen at " + to_rfc3339_seconds(repository.lag->checked)},
                  .consequence = "If the first repository is lost now, so is what this one lacks.",
                  .remedy = "It is brought up to date by itself; what keeps it from that stands in "
                            "wal/push-helper.log in the state directory."});
}

void judge_rights(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  for (const CheckFinding& finding : repository.rights) {
    if (finding.level == FindingLevel::kFailed) {
      add_trouble(diagnosing, repository,
                  {ErrorKind::kRepository, finding.name + ": " + finding.detail, finding.hint});
      continue;
    }
    diagnosing.add({.code = "repository_rights",
                    .severity = ProblemSeverity::kNotice,
                    .repository = repository.name,
                    .title = fmt::format("repository {}: {}", repository.name, finding.detail),
                    .consequence = finding.hint});
  }
}

void judge_retention(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  // `expire` itself thinks four at once unusual.
  constexpr std::size_t kUsual = 3;
  const auto& state = repository.retention_state;
  if (!state) return;
  if (state->trouble) {
    diagnosing.add({.code = "retention_not_running",
                    .repository = repository.name,
                    .title = "what the retention policy wants cannot be told",
                    .evidence = {state->trouble->message},
                    .consequence = "Nothing expires, and the repository grows.",
                    .remedy = "'holdfast expire --dry-run' says what keeps it."});
    return;
  }
  if (state->unmarked <= kUsual && state->overdue == 0) return;
  diagnosing.add(
      {.code = "retention_not_running",
       .repository = repository.name,
       .title = fmt::format("repository {}: 'holdfast expire' does not run", repository.name),
       .evidence = {fmt::format("{} should have been marked, {} should be gone for days",
                                counted(state->unmarked, "backup"), state->overdue)},
       .consequence = "The repository grows until it is full or too dear.",
       .remedy = "'holdfast expire --dry-run', then 'holdfast expire' every day."});
}

}  // namespace

void judge_repository(const Diagnosing& diagnosing, const RepositoryEvidence& repository) {
  if (repository.trouble) add_trouble(diagnosing, repository, *repository.trouble);
  if (repository.opened && !repository.trouble && !repository.registered) {
    diagnosing.add(
        {.code = "not_registered",
         .severity = repository.first || repository.must ? ProblemSeverity::kCritical
                                                         : ProblemSeverity::kWarning,
         .repository = repository.name,
         .title = fmt::format("repository {} does not know this cluster", repository.name),
         .evidence = {fmt::format("there is no history of '{}' in it",
                                  diagnosing.evidence.cluster)},
         .consequence = "Neither WAL nor backups go there.",
         .remedy = fmt::format("'holdfast --repo {} init'", repository.name),
         .causes = {"no_backup", "archiving_failing", "wal_backlog", "repository_behind"}});
  }
  judge_rights(diagnosing, repository);
  judge_writers(diagnosing, repository);
  judge_gaps(diagnosing, repository);
  judge_lag(diagnosing, repository);
  judge_retention(diagnosing, repository);
}

}  // namespace holdfast
