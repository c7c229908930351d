#include "cli/target_options.h"

namespace holdfast::cli {

void add_target_options(std::vector<Option>& options, TargetRequest& point, std::string& history) {
  options.push_back(
      text_option({"--target-time", "TIME", "Recover to this point in time"}, point.time));
  options.push_back(text_option({"--target-xid", "XID", "Recover to this transaction"}, point.xid));
  options.push_back(
      text_option({"--target-lsn", "LSN", "Recover to this WAL position"}, point.lsn));
  options.push_back(
      text_option({"--target-name", "NAME", "Recover to this restore point"}, point.name));
  options.push_back(switch_option(
      {"--target-immediate", "Stop as soon as the backup is consistent"}, point.immediate));
  options.push_back(switch_option(
      {"--target-exclusive", "Stop just before the target, not behind it"}, point.exclusive));
  options.push_back(text_option(
      {"--target-timeline", "TIMELINE", "latest (default), current or a number"}, point.timeline));
  options.push_back(text_option(
      {"--history", "NNNN-ID", "Line to follow: the one before a take-over, say (default: newest)"},
      history));
}

}  // namespace holdfast::cli
