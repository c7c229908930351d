#include "cli/commands.h"

#include <array>

namespace holdfast::cli {

CommandSpec init_command();
CommandSpec check_command();
CommandSpec status_command();
CommandSpec doctor_command();
CommandSpec checklist_command();
CommandSpec backup_command();
CommandSpec list_command();
CommandSpec show_command();
CommandSpec window_command();
CommandSpec restore_command();
CommandSpec verify_command();
CommandSpec canary_command();
CommandSpec drill_command();
CommandSpec recover_start_command();
CommandSpec recover_status_command();
CommandSpec recover_connect_command();
CommandSpec recover_check_command();
CommandSpec recover_forward_command();
CommandSpec recover_backup_command();
CommandSpec recover_approve_command();
CommandSpec recover_promote_command();
CommandSpec recover_rollback_command();
CommandSpec recover_abandon_command();
CommandSpec cat_command();
CommandSpec copy_command();
CommandSpec expire_command();
CommandSpec delete_command();
CommandSpec hold_command();
CommandSpec release_command();
CommandSpec undelete_command();
CommandSpec archive_push_command();
CommandSpec archive_get_command();
CommandSpec archive_helper_command();
CommandSpec key_list_command();
CommandSpec key_add_command();
CommandSpec key_remove_command();
CommandSpec key_new_file_command();
CommandSpec log_command();
CommandSpec notify_command();
CommandSpec units_command();
CommandSpec config_show_command();
CommandSpec config_check_command();
CommandSpec version_command();
CommandSpec help_command();

const std::vector<CommandSpec>& all_commands() {
  static const std::vector<CommandSpec> commands{
      init_command(),
      check_command(),
      status_command(),
      doctor_command(),
      checklist_command(),
      backup_command(),
      list_command(),
      show_command(),
      window_command(),
      restore_command(),
      verify_command(),
      drill_command(),
      canary_command(),
      recover_start_command(),
      recover_status_command(),
      recover_connect_command(),
      recover_check_command(),
      recover_forward_command(),
      recover_backup_command(),
      recover_approve_command(),
      recover_promote_command(),
      recover_rollback_command(),
      recover_abandon_command(),
      cat_command(),
      copy_command(),
      expire_command(),
      delete_command(),
      hold_command(),
      release_command(),
      undelete_command(),
      archive_push_command(),
      archive_get_command(),
      key_list_command(),
      key_add_command(),
      key_remove_command(),
      key_new_file_command(),
      log_command(),
      notify_command(),
      units_command(),
      config_show_command(),
      config_check_command(),
      version_command(),
      help_command(),
      archive_helper_command(),
  };
  return commands;
}

std::span<const std::string_view> later_commands() {
  static constexpr std::array<std::string_view, 1> kLater{"serve"};
  return kLater;
}

}  // namespace holdfast::cli
