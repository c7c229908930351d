#include "suite.h"

#include <algorithm>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "core/bytes.h"
#include "support/cluster_content.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostDifferences = 10;

ArchivedOptions quiet(ArchivedOptions options) {
  options.settings.insert(options.settings.end(), kQuiet.begin(), kQuiet.end());
  return options;
}

// What differs between two backups of one moment by its nature.
bool is_the_backups_own(const std::string& path) {
  static const std::set<std::string> kOwn{"backup_label", "global/pg_control",
                                          "postgresql.auto.conf", "recovery.signal",
                                          "tablespace_map"};
  return kOwn.contains(path) || path.starts_with("pg_wal/") || path.starts_with("holdfast.");
}

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> files;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder, fs::directory_options::follow_directory_symlink)) {
    const std::string path = fs::relative(entry.path(), folder).string();
    // A tablespace is reached through its link, and lies elsewhere in each restored copy.
    if (entry.is_regular_file() && !is_the_backups_own(path)) files.insert(path);
  }
  return files;
}

std::string content_of_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string first_difference(const std::string& expected, const std::string& found) {
  if (expected.size() != found.size()) {
    return fmt::format("{} bytes, not {}", found.size(), expected.size());
  }
  const auto [at, other] = std::ranges::mismatch(expected, found);
  const auto offset = static_cast<std::size_t>(at - expected.begin());
  return fmt::format("block {} differs from byte {} on", offset / 8192, offset % 8192);
}

// Layouts: PostgreSQL's storage/bufpage.h, storage/itemid.h, access/htup_details.h and
// access/nbtree.h.
constexpr std::size_t kPageBytes = 8192, kPageHeaderBytes = 24;
constexpr std::uint16_t kPageVersion = kPageBytes | 4U;
constexpr std::size_t kFlagsAt = 10, kLowerAt = 12, kSpecialAt = 16, kVersionAt = 18, kPruneAt = 20;
constexpr std::size_t kBtreeSpecial = kPageBytes - 16, kBtreeFlagsAt = kBtreeSpecial + 12;

std::uint16_t number_at(const std::string& content, std::size_t at) {
  return load_le<std::uint16_t>(as_bytes(std::string_view(content).substr(at, 2)).data());
}
void clear_bits(std::string& content, std::size_t at, unsigned bits) {
  content[at] = static_cast<char>(static_cast<unsigned char>(content[at]) & ~bits);
}

void clear_hint_bits(std::string& content, std::size_t page) {
  if (number_at(content, page + kVersionAt) != kPageVersion) return;
  const std::size_t special = number_at(content, page + kSpecialAt);
  const bool heap = special == kPageBytes, btree = special == kBtreeSpecial;
  if (!heap && !btree) return;
  clear_bits(content, page + kFlagsAt, 3);  // free line pointers, full
  std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(page + kPruneAt), 4, '\0');
  if (btree) clear_bits(content, page + kBtreeFlagsAt, 0x40);  // holds dead entries
  const std::size_t end = std::min<std::size_t>(number_at(content, page + kLowerAt), kPageBytes);
  for (std::size_t item = kPageHeaderBytes; item + 4 <= end; item += 4) {
    const std::size_t offset = number_at(content, page + item) & 0x7fffU;
    const bool normal = ((number_at(content, page + item + 1) >> 7U) & 3U) == 1;
    if (btree) {
      clear_bits(content, page + item + 1, 0x80);  // the two bits of LP_NORMAL and LP_DEAD …
      clear_bits(content, page + item + 2, 0x01);
    } else if (normal && offset >= kPageHeaderBytes && offset + 23 <= kPageBytes) {
      clear_bits(content, page + offset + 21, 0x0f);  // xmin, xmax: committed, invalid
    }
  }
}

std::string compared_content(const fs::path& path, HintBits hint_bits) {
  std::string content = content_of_file(path);
  if (hint_bits == HintBits::kCompared || content.size() % kPageBytes != 0) return content;
  for (std::size_t page = 0; page < content.size(); page += kPageBytes) {
    clear_hint_bits(content, page);
  }
  return content;
}

}  // namespace

std::vector<std::string> file_differences(const fs::path& expected, const fs::path& found,
                                          HintBits hint_bits) {
  std::vector<std::string> wrong;
  const std::set<std::string> here = files_in(expected);
  const std::set<std::string> there = files_in(found);
  for (const std::string& path : there) {
    if (!here.contains(path)) wrong.push_back(path + " should not be there");
  }
  for (const std::string& path : here) {
    if (wrong.size() >= kMostDifferences) break;
    if (!there.contains(path)) {
      wrong.push_back(path + " is missing");
      continue;
    }
    const std::string was = compared_content(expected / path, hint_bits);
    const std::string is = compared_content(found / path, hint_bits);
    if (was != is) wrong.push_back(fmt::format("{}: {}", path, first_difference(was, is)));
  }
  return wrong;
}

std::vector<std::string> complaints_about(const fs::path& data_directory,
                                          const ServerPrograms& programs) {
  std::vector<std::string> wrong;
  PostgresCluster restored = start_recovered(data_directory, programs);
  restored.wait_for("not pg_is_in_recovery()");
  for (const auto& row : restored.rows("select datname from pg_database where datallowconn")) {
    const std::string in_database = restored.connection() + " dbname='" + row.at(0) + "'";
    const auto psql = [&](const std::string& statement) {
      return run(
          {.arguments = {client_program("psql").string(), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c",
                         "set client_min_messages = error", "-c", statement, in_database}});
    };
    const std::string relations =
        "select string_agg(c.oid::regclass || ' ' || t, ', ') from pg_class c, "
        "lateral (select t from {}(c.oid) t limit 3) x where relkind in ('r', 'm', 't') and "
        "relpersistence = 'p'";
    for (const std::string check : {"pg_check_visible", "pg_check_frozen"}) {
      const Outcome outcome = psql("create extension if not exists pg_visibility; " +
                                   fmt::format(fmt::runtime(relations), check));
      if (!outcome.ok() || outcome.out.find_first_not_of("\n") != std::string::npos) {
        wrong.push_back(fmt::format("{} in {}: {}{}", check, row.at(0), outcome.out, outcome.err));
      }
    }
  }
  if (const fs::path amcheck = client_program("pg_amcheck"); fs::exists(amcheck)) {
    const Outcome outcome =
        run({.arguments = {amcheck.string(), "--install-missing", "--heapallindexed", "--all", "-h",
                           restored.socket_directory().string(), "-p",
                           std::to_string(restored.port()), "-U", "postgres"}});
    if (!outcome.ok()) wrong.push_back("pg_amcheck: " + outcome.out + outcome.err);
  }
  restored.stop();
  if (const std::string bad = check_page_checksums(restored); !bad.empty()) wrong.push_back(bad);
  return wrong;
}

Grown::Grown(ArchivedOptions options)
    : archived_(quiet(std::move(options))), reference_(archived_.server()) {
  reference_.init();
}

void Grown::turn_to(const PostgresCluster& server) {
  for (HoldfastProgram* const program : {&holdfast(), &reference_}) {
    program->other_connection = server.connection();
    program->other_data_directory = server.data_directory();
  }
}

Json Grown::incremental(const std::string& source, const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"--type", "incr"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Json made = holdfast().backup(arguments);
  EXPECT_EQ(made.at("type"), "incr") << made.dump(2);
  EXPECT_EQ(made.at("incremental").at("source"), source) << made.dump(2);
  return made;
}

fs::path Grown::restore(HoldfastProgram& program, const std::string& id) {
  const fs::path target = program.new_path();
  program.restore(target, {id, "--target-immediate", "--target-action", "promote",
                           "--tablespaces-under", program.new_path("spaces").string()});
  return target;
}

Grown::Restored Grown::restore_both(const Json& incremental, HoldfastProgram& reference) {
  const Json full = reference.backup({"--type", "full", "--standalone"});
  return {.expected = restore(reference, full.at("id")),
          .found = restore(holdfast(), incremental.at("id"))};
}

std::vector<std::string> Grown::check(const Restored& restored) {
  std::vector<std::string> wrong = file_differences(restored.expected, restored.found);
  for (std::string& line : complaints_about(restored.found, server().programs())) {
    wrong.push_back(std::move(line));
  }
  return wrong;
}

std::vector<std::string> Grown::check(const Json& incremental) {
  return check(restore_both(incremental, reference_));
}

std::vector<std::string> Grown::check_beside(const Json& incremental) {
  return check(restore_both(incremental, holdfast()));
}

}  // namespace holdfast::test
