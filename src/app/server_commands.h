#pragma once
// The commands of ours that PostgreSQL runs, as its settings hold them: absolute paths of this
// program and of the configuration, quoted for the shell, '%' doubled where PostgreSQL would take
// it for a placeholder.

#include <string>

#include "app/config.h"
#include "repository/names.h"

namespace holdfast {

// archive_command: '/usr/bin/holdfast' --config '/etc/holdfast/main.yaml' archive-push "%p"
std::string archive_command(const Config& config);
// restore_command of a server that follows `history`; of a repository that is seen as it was, the
// same one at the same time.
std::string restore_command(const Config& config, const HistoryName& history);
// Whether an archive_command calls archive-push of a Holdfast, whatever its path and options.
bool is_our_archive_command(const std::string& command);

}  // namespace holdfast
