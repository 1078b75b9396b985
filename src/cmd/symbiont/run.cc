// symbiont run: one prompt, one answer.

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "cmd/symbiont/answer.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/interrupt.h"
#include "cmd/symbiont/session.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

constexpr std::size_t kMaxStdinBytes = std::size_t{2} << 20U;  // the runner accepts 1 MiB

struct RunCommand {
  RunOptions options;
  std::vector<std::string> prompt;
  bool json = false;
};

std::expected<std::string, Failure> read_prompt(const std::vector<std::string>& words) {
  const bool from_stdin = words.empty() || (words.size() == 1 && words.front() == "-");
  if (!from_stdin) {
    std::string text;
    for (const std::string& word : words) {
      if (!text.empty()) text += ' ';
      text += word;
    }
    return text;
  }
  if (words.empty() && is_terminal(STDIN_FILENO)) {
    return std::unexpected(usage_failure(
        "there is no prompt",
        "symbiont run --model MODEL \"a question\", or pipe it in; '-' reads from the terminal"));
  }
  auto text = read_to_end(STDIN_FILENO, kMaxStdinBytes, "standard input");
  if (!text.has_value()) {
    Failure failure = to_failure(text.error());
    if (text.error().code() == ErrorCode::ResourceExhausted) failure.exit = ExitCode::Usage;
    return std::unexpected(std::move(failure));
  }
  if (text->ends_with('\n')) text->pop_back();
  if (text->empty()) {
    return std::unexpected(usage_failure("the prompt on standard input is empty",
                                         "give the prompt as argument, or pipe text in"));
  }
  return *std::move(text);
}

observe::Json failure_json(const EngineError& error, const EngineRequest& request) {
  if (const auto* runner_error = std::get_if<SlmRunnerError>(&error))
    return observe::to_json(*runner_error);
  const Failure failure = to_failure(error);
  ExecutionMetadata metadata;
  metadata.model_id = request.model_id;
  metadata.agent = request.agent;
  observe::Json json = {
      {"error", {{"code", failure.kind}, {"message", failure.message}, {"hint", failure.hint}}},
      {"partial_response", ""}};
  json.update(observe::to_json(metadata));
  return json;
}

int exit_for_signal_or(const Interrupt& interrupt, ExitCode otherwise) {
  return interrupt.signal() != 0 ? 128 + interrupt.signal() : to_int(otherwise);
}

bool is_cancelled(const EngineError& error) {
  const auto* runner_error = std::get_if<SlmRunnerError>(&error);
  return runner_error != nullptr && runner_error->get_if<runner_error::Cancelled>() != nullptr;
}

int print_outcome(const Engine::Outcome& outcome,
                  const RunCommand& command,
                  const EngineRequest& request,
                  const AnswerWriter& writer,
                  const Interrupt& interrupt) {
  if (writer.failed_errno() == EPIPE) return to_int(ExitCode::ReaderGone);
  if (writer.failed_errno() != 0) {
    print_error(fmt::format("standard output: {}", errno_text(writer.failed_errno())));
    return to_int(ExitCode::Other);
  }
  if (command.json) {
    const observe::Json json =
        outcome.has_value() ? observe::to_json(*outcome) : failure_json(outcome.error(), request);
    const Status written = write_stdout(observe::dump(json) + "\n");
    if (!written.has_value()) return to_int(ExitCode::ReaderGone);
  }
  if (outcome.has_value()) {
    if (!command.options.quiet) print_notes(outcome->metadata, request.options);
    return exit_for_signal_or(interrupt, ExitCode::Ok);
  }
  const Failure failure = to_failure(outcome.error());
  if (is_cancelled(outcome.error()) && interrupt.signal() != 0) {
    if (!command.options.quiet) print_error("cancelled");
    return exit_for_signal_or(interrupt, failure.exit);
  }
  return report(failure);
}

int run(const RunCommand& command) {
  auto prompt = read_prompt(command.prompt);
  if (!prompt.has_value()) return report(prompt.error(), command.json);
  auto interrupt = Interrupt::install();
  if (!interrupt.has_value()) return report(to_failure(interrupt.error()), command.json);

  const bool show = !command.options.quiet && !command.json && is_terminal(STDERR_FILENO);
  LoadProgress progress("loading model", show);
  auto session =
      open_session(command.options, [&progress](float fraction) { progress.update(fraction); });
  if (!session.has_value()) {
    progress.finish();
    return report(session.error(), command.json);
  }
  AnswerWriter writer(progress);
  TokenSink sink;
  if (!command.json) sink = [&writer](std::string_view text) { return writer.write(text); };
  session->request.prompt = *std::move(prompt);
  const Engine::Outcome outcome =
      session->engine.run(session->request, sink, (*interrupt)->token());
  writer.end_line();
  return print_outcome(outcome, command, session->request, writer, **interrupt);
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto command = std::make_shared<RunCommand>();
  CLI::App* sub = app.add_subcommand("run", "Answer one prompt");
  sub->add_option("prompt", command->prompt,
                  "the prompt; words are joined. '-', or none when input is piped: standard input");
  add_run_options(*sub, command->options);
  sub->add_flag("--raw", command->options.execution.raw,
                "give the prompt to the model as it is, without its chat template");
  sub->add_flag("--json", command->json,
                "one JSON object on standard output: answer, figures, verdict, or the error");
  sub->footer(R"(Examples:
  symbiont run --model model.gguf "What is the capital of France?"
  git diff | symbiont run --model llama2-7b --agent reviewer --timeout 2m
  symbiont run -m model.gguf --temperature 0 --seed 1 --json "List three colours" | jq .usage
  symbiont run -m big.gguf --set resources.max_memory_mb=4096 -- "--why does a dash need this?"

Exit codes: 0 ok, 2 usage or input, 3 configuration, 4 access denied, 5 model not found or invalid,
6 limit hit, 7 sandbox violation, 8 control unavailable, 9 timeout, 130/143 cancelled, 1 other.)");
  sub->callback([command, &action] { action = [command] { return run(*command); }; });
}

}  // namespace symbiont::cli
