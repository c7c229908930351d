// `verify`: are the stored backups whole?
#include <fmt/format.h>

#include "app/verify_operations.h"
#include "cli/as_of_option.h"
#include "cli/backup_views.h"
#include "cli/command.h"
#include "cli/render.h"
#include "cli/thaw_options.h"
#include "core/counted.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

// More are counted, and are in the JSON form.
constexpr std::size_t kFindingsShown = 50;
constexpr std::size_t kFilesShown = 5;
constexpr std::size_t kPagesShown = 20;

struct Arguments {
  std::string id;
  bool all = false, quick = false, deep = false;
  ThawOptions thaw;
  std::optional<std::string> as_of;
  PipelineOptions pipeline;
};

VerifyRequest request_of(const Arguments& arguments) {
  if (arguments.quick && arguments.deep) {
    throw Error(ErrorKind::kUsage, "--quick and --deep contradict each other");
  }
  if (arguments.all && !arguments.id.empty()) {
    throw Error(ErrorKind::kUsage, "either a backup or --all", {.object = arguments.id});
  }
  VerifyRequest request;
  if (!arguments.all) request.backup = arguments.id.empty() ? "latest" : arguments.id;
  if (arguments.quick) request.mode = VerifyMode::kQuick;
  if (arguments.deep) request.mode = VerifyMode::kDeep;
  request.thaw = arguments.thaw.choice();
  return request;
}

Json json_of(const VerifyFinding& finding) {
  Json files = Json::array();
  for (const AffectedFile& file : finding.files) {
    Json ranges = Json::array();
    for (const BlockRange& range : file.ranges) {
      ranges.push_back({{"first", range.first}, {"count", range.count}});
    }
    files.push_back({{"path", file.path}, {"blocks", file.blocks}, {"ranges", std::move(ranges)}});
  }
  return {{"object", finding.object},
          {"backup", finding.backup.empty() ? Json() : Json(finding.backup)},
          {"problem", finding.problem},
          {"affected_files", finding.affected_files},
          {"affected_blocks", finding.affected_blocks},
          {"files", std::move(files)}};
}

Json json_of(const VerifiedBackup& backup) {
  Json pages = Json::array();
  for (const BadPage& page : backup.pages.named) {
    pages.push_back({{"path", page.path}, {"block", page.block}});
  }
  return {{"id", backup.name.id.text},
          {"history", holdfast::to_string(backup.name.history)},
          {"state", holdfast::to_string(backup.state)},
          {"objects", backup.objects},
          {"bytes", backup.bytes},
          {"damaged_objects", backup.damaged_objects},
          {"excused_pages", backup.pages.excused},
          {"pages_damaged_in_cluster", backup.pages.damaged_in_cluster},
          {"damaged_in_cluster", std::move(pages)},
          {"proof", backup.proof == 0 ? Json() : Json(backup.proof)}};
}

Json json_of(const VerifyResult& done) {
  Json json;
  json["mode"] = holdfast::to_string(done.mode);
  json["backups"] = Json::array();
  for (const VerifiedBackup& backup : done.backups) json["backups"].push_back(json_of(backup));
  json["objects"] = done.objects;
  json["bytes"] = done.bytes;
  json["damaged_objects"] = done.damaged_objects;
  json["findings"] = Json::array();
  for (const VerifyFinding& finding : done.findings) json["findings"].push_back(json_of(finding));
  json["duration_seconds"] = done.duration_seconds;
  return json;
}

std::string text_of(const AffectedFile& file) {
  std::string text = "    " + printable(file.path);
  for (std::size_t i = 0; i < file.ranges.size(); ++i) {
    const BlockRange& range = file.ranges[i];
    if (range.count == 0) continue;
    text += i == 0 ? " blocks " : ", ";
    text += range.count == 1 ? std::to_string(range.first)
                             : fmt::format("{}-{}", range.first, range.first + range.count - 1);
  }
  return text + "\n";
}

std::string text_of(const VerifyFinding& finding, const Style& style) {
  std::string text =
      fmt::format("{} {}\n", style.paint(Colour::kRed, "damaged:"), printable(finding.object));
  if (!finding.backup.empty()) text += fmt::format("  backup {}\n", finding.backup);
  text += fmt::format("  {}\n", printable(finding.problem));
  if (finding.affected_files > 0) {
    text += fmt::format("  lost with it: {} of {}\n", counted(finding.affected_blocks, "block"),
                        counted(finding.affected_files, "file"));
  }
  for (std::size_t i = 0; i < std::min(kFilesShown, finding.files.size()); ++i) {
    text += text_of(finding.files[i]);
  }
  if (finding.files.size() > kFilesShown) text += "    ...\n";
  return text;
}

std::string text_of(const VerifyResult& done, const Style& style) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kFindingsShown, done.findings.size()); ++i) {
    text += text_of(done.findings[i], style);
  }
  if (done.damaged_objects > kFindingsShown) {
    text += fmt::format("... and {} more\n", done.damaged_objects - kFindingsShown);
  }
  for (const VerifiedBackup& backup : done.backups) {
    if (backup.pages.excused > 0) {
      text += fmt::format("{}: {} torn by being read while written; its WAL mends that\n",
                          backup.name.id.text, counted(backup.pages.excused, "page"));
    }
    if (backup.pages.damaged_in_cluster > 0) {
      text += fmt::format("{}: {} damaged in the cluster already\n", backup.name.id.text,
                          counted(backup.pages.damaged_in_cluster, "page"));
      for (std::size_t i = 0; i < std::min(kPagesShown, backup.pages.named.size()); ++i) {
        const BadPage& page = backup.pages.named[i];
        text += fmt::format("    {} block {}\n", printable(page.path), page.block);
      }
      if (backup.pages.damaged_in_cluster > kPagesShown) text += "    ...\n";
    }
  }
  const double seconds = std::max(done.duration_seconds, 0.001);
  text += fmt::format(
      "Verified {} ({}): {}, {}, {} damaged, in {} ({}/s).\n",
      counted(done.backups.size(), "backup"), holdfast::to_string(done.mode),
      counted(done.objects, "object"), human_bytes(done.bytes), done.damaged_objects,
      human_duration(Seconds(done.duration_seconds)),
      human_bytes(static_cast<std::uint64_t>(static_cast<double>(done.bytes) / seconds)));
  return text;
}

CommandResult run(Arguments& arguments, CommandContext& context) {
  apply(arguments.pipeline, context.config());
  apply_as_of(arguments.as_of, context);
  const VerifyResult done = verify(context.config(), context.repository(), request_of(arguments),
                                   context.progress(), context.stop());
  for (const std::string& warning : done.warnings) context.warn(warning);
  CommandResult result{.json = json_of(done), .text = text_of(done, context.style())};
  if (done.damaged_objects > 0) {
    result.failure =
        Error(ErrorKind::kDamage, counted(done.damaged_objects, "damaged object"),
              {.object = done.findings.front().object,
               .hint = "Restore the objects from another copy of the repository if there is one; "
                       "else 'holdfast backup --type full' now: an incremental could "
                       "build on what is damaged."});
  }
  return result;
}

}  // namespace

CommandSpec verify_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "verify";
  spec.summary = "Read and authenticate every byte of a backup";
  spec.details =
      "Exits 1 when anything is damaged, and names the objects and the files and blocks that are "
      "lost with them. The result is stored beside the backup as proof; `show` tells the last one. "
      "With neither ID nor --all the latest backup is verified.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("ID", "An id, a name, latest or oldest (default: latest)",
                                  arguments->id, Presence::kOptional)};
  spec.options = {
      switch_option({"--all", "Every backup, and the records of unfinished and aborted ones"},
                    arguments->all),
      switch_option({"--quick", "Existence and size of the packs only"}, arguments->quick),
      switch_option({"--deep", "Also decompress, compare every block, check pages and WAL"},
                    arguments->deep),
      as_of_option(arguments->as_of)};
  add_thaw_options(spec.options, arguments->thaw);
  add_pipeline_options(spec.options, arguments->pipeline);
  spec.examples = {{"holdfast verify", "The latest backup"},
                   {"holdfast verify --all --quick", "Is everything still there?"},
                   {"holdfast verify before-upgrade --deep", "Everything that can be checked"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
