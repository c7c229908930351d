#include "app/drill_folder.h"

#include <chrono>
#include <thread>

#include "core/error.h"
#include "system/files.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDrillMark = "holdfast.drill";
constexpr int kRemovals = 100;
constexpr std::chrono::milliseconds kBetweenRemovals{100};

}  // namespace

DrillFolder::DrillFolder(fs::path path, DrillRemains remains)
    : path_(std::move(path)), remains_(remains) {
  if (fs::exists(path_) && !fs::is_empty(path_)) {
    if (!fs::exists(path_ / kDrillMark)) {
      throw Error(ErrorKind::kRefused,
                  "the folder for the drill holds something else, or a copy that was kept",
                  {.object = path_,
                   .hint = "Remove it if nobody needs it, or choose another place with "
                           "--scratch."});
    }
    remove_everything();  // of a drill that was killed
  }
  make_folders(path_, 0700);
  write_durably(path_ / kDrillMark, as_bytes("A drill of holdfast works here.\n"), 0600,
                Overwrite::kNo);
}

DrillFolder::~DrillFolder() {
  try {
    if (remains_ == DrillRemains::kRemove) {
      remove_everything();
      fs::remove(path_);
    } else {
      fs::remove(path_ / kDrillMark);  // no longer a drill's: nobody removes it unasked
    }
  } catch (const fs::filesystem_error&) {
    // What stays is removed by the next drill, which knows it by its mark.
  }
}

void DrillFolder::give_to_owner_of_data() const {
  give_owner({.path = path_, .like = data()});
}

// The data directory goes first: without it archive-get's helper ends, which until then may write
// into the drill's state directory. The mark goes last: what is left of an interrupted removal is
// still known for a drill's.
void DrillFolder::remove_everything() const {
  fs::remove_all(data());
  for (int attempt = 1;; ++attempt) {
    try {
      for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
        if (entry.path().filename() != kDrillMark) fs::remove_all(entry.path());
      }
      break;
    } catch (const fs::filesystem_error&) {
      if (attempt == kRemovals) throw;
      std::this_thread::sleep_for(kBetweenRemovals);
    }
  }
  fs::remove(path_ / kDrillMark);
}

}  // namespace holdfast
