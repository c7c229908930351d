#pragma once
// One attempt to tell something, each way. Errors: kHost, retryable where another attempt may help;
// kConfiguration for a secret that others may read. Their texts hold no secret. Threads: any.

#include <filesystem>
#include <stop_token>

#include "app/notify.h"

namespace holdfast {

void tell_slack(const NotifyConfig& notify, const NoticeText& text, const std::stop_token& stop);
void tell_webhook(const NotifyConfig& notify, const NoticeText& text, const std::stop_token& stop);
void tell_by_mail(const NotifyConfig& notify, const NoticeText& text, Timestamp time,
                  const std::stop_token& stop);
// `folder`: where the document is put, for as long as the command runs.
void tell_command(const NotifyConfig& notify, const NoticeText& text,
                  const std::filesystem::path& folder, const std::stop_token& stop);

}  // namespace holdfast
