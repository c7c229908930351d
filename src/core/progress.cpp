#include "core/progress.h"

namespace holdfast {

Progress& null_progress() {
  static NullProgress progress;
  return progress;
}

}  // namespace holdfast
