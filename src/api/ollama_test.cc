// What Ollama's requests become, what is refused by name, and how answers are said.

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/json.h"
#include "api/ollama/errors.h"
#include "api/ollama/generate.h"
#include "api/ollama/models.h"
#include "api/ollama/options.h"

namespace symbiont::api::ollama {
namespace {

using Handler = Handled (*)(Gateway&, const Request&);

/// Models "m" and "m:latest" for ann, "n" for ann, "other" for nobody.
class OllamaTest : public ::testing::Test {
 protected:
  OllamaTest() : engine_(make_catalog()) { gateway_.engine = &engine_; }

  static ModelCatalog make_catalog() {
    Slm slm;
    for (const char* id : {"m", "n", "n:latest", "other"}) {
      Model model;
      model.id = id;
      model.name = id;
      model.provider = provider::LocalFile{"/models/x.gguf"};
      model.capabilities = {ModelCapability::TextGeneration};
      slm.model_allow_lists.global_models.push_back(std::move(model));
    }
    slm.model_allow_lists.agent_model_maps = {{"ann", {"m", "n", "n:latest"}}};
    auto catalog = ModelCatalog::create(slm);
    EXPECT_TRUE(catalog.has_value());
    return *std::move(catalog);
  }
  Handled call(Handler handler, const std::string& body) {
    Request request;
    request.identity.agent = "ann";
    request.body = body;
    return handler(gateway_, request);
  }
  Plan plan_of(Handler handler, const std::string& body) {
    Handled handled = call(handler, body);
    EXPECT_TRUE(handled.has_value()) << body << ": " << handled.error().message;
    if (!handled.has_value()) return {};
    return std::get<Plan>(std::move(*handled));
  }
  Json answer_of(Handler handler, const std::string& body) {
    Handled handled = call(handler, body);
    EXPECT_TRUE(handled.has_value()) << body;
    if (!handled.has_value()) return {};
    return Json::parse(std::get<Response>(*handled).body);
  }
  static std::string ask(const std::string& more) {
    return R"({"model": "m", "messages": [{"role": "user", "content": "Hi"}])" +
           (more.empty() ? "" : ", " + more) + "}";
  }

  Engine engine_;
  Gateway gateway_;
};

ExecutionResult result_of(std::string text, std::string finish) {
  ExecutionResult result{.response = std::move(text), .logprobs = {}, .metadata = {}};
  result.metadata.finish_reason = std::move(finish);
  result.metadata.usage = {.prompt_tokens = 10, .completion_tokens = 3, .cached_tokens = 8};
  result.metadata.timing.total_ms = 5.5;
  result.metadata.timing.load_ms = 1;
  result.metadata.timing.prefill_ms = 2;
  result.metadata.timing.decode_ms = 2.5;
  return result;
}

/// Checks created_at, which is not the same twice, and takes it away.
Json without_time(Json object) {
  const std::string time = object["created_at"];
  EXPECT_EQ(time.size(), std::string_view("2026-01-31T23:59:59.123456Z").size()) << time;
  object.erase("created_at");
  return object;
}

TEST_F(OllamaTest, AChatBecomesAnExecution) {
  const Plan plan = plan_of(chat, R"({
    "model": "m:latest", "keep_alive": "5m", "think": false, "tools": [], "format": "json",
    "options": {"temperature": 0.5, "top_k": 5, "top_p": 0.9, "min_p": 0.1, "seed": 3,
                "num_predict": 7, "stop": ["a", "b"], "repeat_penalty": 1.1,
                "frequency_penalty": 0.2, "presence_penalty": -0.2, "num_ctx": 2048},
    "messages": [{"role": "system", "content": "Be brief."},
                 {"role": "user", "content": "a", "images": []},
                 {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]})");
  ASSERT_EQ(plan.executions.size(), 1U);
  EXPECT_TRUE(plan.streams);
  EXPECT_EQ(plan.content_type, "application/x-ndjson");
  const EngineRequest& execution = plan.executions[0];
  EXPECT_EQ(execution.agent, "ann");
  EXPECT_EQ(execution.model_id, "m");
  EXPECT_EQ(execution.messages,
            (std::vector<ChatMessage>{
                {"system", "Be brief."}, {"user", "a"}, {"assistant", "b"}, {"user", "c"}}));
  const ExecutionOptions& options = execution.options;
  EXPECT_EQ(options.temperature, 0.5F);
  EXPECT_EQ(options.top_k, 5U);
  EXPECT_EQ(options.top_p, 0.9F);
  EXPECT_EQ(options.min_p, 0.1F);
  EXPECT_EQ(options.seed, 3U);
  EXPECT_EQ(options.max_tokens, 7U);
  EXPECT_EQ(options.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.repeat_penalty, 1.1F);
  EXPECT_EQ(options.frequency_penalty, 0.2F);
  EXPECT_EQ(options.presence_penalty, -0.2F);
  EXPECT_EQ(options.json_schema, R"({"type":"object"})");
}

TEST_F(OllamaTest, APromptBecomesAnExecution) {
  Plan plan = plan_of(generate, R"({"model": "m", "prompt": "p", "system": "s", "stream": false,
    "format": {"type": "array"}, "options": {"num_predict": -1, "stop": "x"}, "suffix": "",
    "context": [], "images": [], "keep_alive": -1})");
  EXPECT_FALSE(plan.streams);
  EXPECT_EQ(plan.executions[0].prompt, "p");
  EXPECT_EQ(plan.executions[0].options.system_prompt, "s");
  EXPECT_EQ(plan.executions[0].options.json_schema, R"({"type":"array"})");
  EXPECT_EQ(plan.executions[0].options.max_tokens, 1'048'576U);
  EXPECT_EQ(plan.executions[0].options.stop, (std::vector<std::string>{"x"}));
  EXPECT_FALSE(plan.executions[0].options.raw);
  plan = plan_of(generate, R"({"model": "m", "prompt": "p", "raw": true})");
  EXPECT_TRUE(plan.executions[0].options.raw);
  EXPECT_EQ(plan.executions[0].options.max_tokens, 2'048U);
}

TEST_F(OllamaTest, AnExactNameComesBeforeATag) {
  EXPECT_EQ(resolve_model(gateway_, "ann", "m"), "m");
  EXPECT_EQ(resolve_model(gateway_, "ann", "m:latest"), "m");
  EXPECT_EQ(resolve_model(gateway_, "ann", "n:latest"), "n:latest");
  EXPECT_EQ(resolve_model(gateway_, "ann", "m:1b"), "m:1b");
}

TEST_F(OllamaTest, EveryMistakeIsNamed) {
  struct Case {
    const char* more;
    const char* param;
  };
  for (const Case& bad : {
           Case{R"("options": 1)", "options"},
           Case{R"("options": {"temperature": 2.1})", "options.temperature"},
           Case{R"("options": {"top_p": 2})", "options.top_p"},
           Case{R"("options": {"min_p": -1})", "options.min_p"},
           Case{R"("options": {"top_k": 0.5})", "options.top_k"},
           Case{R"("options": {"seed": -1})", "options.seed"},
           Case{R"("options": {"num_predict": 0})", "options.num_predict"},
           Case{R"("options": {"num_predict": -3})", "options.num_predict"},
           Case{R"("options": {"num_ctx": 4097})", "options.num_ctx"},
           Case{R"("options": {"num_ctx": 0})", "options.num_ctx"},
           Case{R"("options": {"repeat_penalty": 0})", "options.repeat_penalty"},
           Case{R"("options": {"frequency_penalty": 3})", "options.frequency_penalty"},
           Case{R"("options": {"presence_penalty": "1"})", "options.presence_penalty"},
           Case{R"("options": {"stop": [1]})", "options.stop"},
           Case{R"("options": {"mirostat": 1})", "options.mirostat"},
           Case{R"("options": {"num_gpu": 1})", "options.num_gpu"},
           Case{R"("options": {"temprature": 1})", "options.temprature"},
           Case{R"("format": "xml")", "format"},
           Case{R"("format": [])", "format"},
           Case{R"("keep_alive": "soon")", "keep_alive"},
           Case{R"("keep_alive": [])", "keep_alive"},
           Case{R"("think": true)", "think"},
           Case{R"("tools": [{"type": "function"}])", "tools[0].function"},
           Case{R"("tool_choice": "auto")", "tool_choice"},
           Case{R"("logprobs": true)", "logprobs"},
           Case{R"("truncate": true)", "truncate"},
           Case{R"("stream": "no")", "stream"},
           Case{R"("prompt": "x")", "prompt"},
       }) {
    const Handled handled = call(chat, ask(bad.more));
    ASSERT_FALSE(handled.has_value()) << bad.more;
    EXPECT_EQ(handled.error().kind, ErrorKind::InvalidRequest) << bad.more;
    EXPECT_EQ(handled.error().param, bad.param) << bad.more;
    // The text is all that this API's clients are told.
    EXPECT_NE(handled.error().message.find(bad.param), std::string::npos) << bad.more;
  }
}

TEST_F(OllamaTest, EveryMistakeInWhatIsRequiredIsNamed) {
  struct Case {
    Handler handler;
    const char* body;
    const char* param;
  };
  for (const Case& bad : {
           Case{chat, R"({"messages": [{"role": "user", "content": "x"}]})", "model"},
           Case{chat, R"({"model": "m"})", "messages"},
           Case{chat, R"({"model": "m", "messages": []})", "messages"},
           Case{chat, R"({"model": "m", "messages": [{"role": "boss", "content": "x"}]})",
                "messages[0].role"},
           Case{chat, R"({"model": "m", "messages": [{"role": "tool"}]})", "messages[0].content"},
           Case{chat,
                R"({"model": "m", "messages": [{"role": "assistant", "tool_calls": [
                    {"function": {"name": "f", "arguments": "{}"}}]}]})",
                "messages[0].tool_calls[0].function.arguments"},
           Case{chat,
                R"({"model": "m", "messages": [{"role": "user", "content": "x",
                    "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]})",
                "messages[0].tool_calls"},
           Case{chat, R"({"model": "m", "messages": [{"role": "user"}]})", "messages[0].content"},
           Case{chat, R"({"model": "m", "messages": [{"role": "user", "content": ["x"]}]})",
                "messages[0].content"},
           Case{chat,
                R"({"model": "m", "messages": [{"role": "user", "content": "x",
                    "images": ["aGk="]}]})",
                "messages[0].images"},
           Case{generate, R"({"model": "m"})", "prompt"},
           Case{generate, R"({"model": "m", "prompt": ""})", "prompt"},
           Case{generate, R"({"model": "m", "prompt": "x", "raw": true, "system": "s"})", "system"},
           Case{generate, R"({"model": "m", "prompt": "x", "suffix": "y"})", "suffix"},
           Case{generate, R"({"model": "m", "prompt": "x", "template": "y"})", "template"},
           Case{generate, R"({"model": "m", "prompt": "x", "context": [1]})", "context"},
           Case{generate, R"({"model": "m", "prompt": "x", "messages": []})", "messages"},
           Case{show_model, R"({})", "model"},
           Case{show_model, R"({"model": "m", "verbose": true})", "verbose"},
           Case{show_model, R"({"model": "m", "name": "m"})", "name"},
           Case{show_model, R"({"model": "other"})", "model"},
       }) {
    const Handled handled = call(bad.handler, bad.body);
    ASSERT_FALSE(handled.has_value()) << bad.body;
    EXPECT_EQ(handled.error().param, bad.param) << bad.body;
  }
}

TEST(OllamaDurationTest, IsAsGoReadsIt) {
  for (const char* right : {"5m", "24h", "-1m", "1.5h", "2h45m", "300ms", "0", "-0", ".5s", "7µs"})
    EXPECT_TRUE(is_duration(right)) << right;
  for (const char* wrong : {"", "-", "5", "m", "5 m", "5x", "5m3", "1.2.3s", "forever"})
    EXPECT_FALSE(is_duration(wrong)) << wrong;
}

TEST_F(OllamaTest, AWholeAnswer) {
  Plan plan = plan_of(chat, R"({"model": "m:latest", "stream": false,
    "messages": [{"role": "user", "content": "Hi"}]})");
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_end(0, result_of("Hello", "length"), out);
  plan.writer->finish(out);
  EXPECT_EQ(without_time(Json::parse(out.response().body)),
            (Json{{"model", "m:latest"},
                  {"message", {{"role", "assistant"}, {"content", "Hello"}}},
                  {"done", true},
                  {"done_reason", "length"},
                  {"total_duration", 5'500'000},
                  {"load_duration", 1'000'000},
                  {"prompt_eval_count", 10},
                  {"prompt_eval_duration", 2'000'000},
                  {"eval_count", 3},
                  {"eval_duration", 2'500'000}}));
}

TEST_F(OllamaTest, AStreamOfLines) {
  Plan plan = plan_of(generate, R"({"model": "m", "prompt": "Hi"})");
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_text(0, "Hel\n", out);
  plan.writer->on_end(0, result_of("Hel\n", "stop"), out);
  plan.writer->finish(out);
  ASSERT_TRUE(out.is_stream());
  const std::string& text = out.bytes();
  const std::size_t end = text.find('\n');
  ASSERT_EQ(text.find('\n', end + 1), text.size() - 1);
  EXPECT_EQ(without_time(Json::parse(text.substr(0, end))),
            (Json{{"model", "m"}, {"response", "Hel\n"}, {"done", false}}));
  const Json last = Json::parse(text.substr(end + 1));
  EXPECT_EQ(last["response"], "");
  EXPECT_EQ(last["done"], true);
  EXPECT_EQ(last["done_reason"], "stop");
  EXPECT_EQ(last["eval_count"], 3);
}

TEST_F(OllamaTest, AnErrorEndsAStream) {
  Plan plan = plan_of(generate, R"({"model": "m", "prompt": "Hi"})");
  Output out;
  plan.writer->on_text(0, "Hel", out);
  plan.writer->on_error({.kind = ErrorKind::Internal, .message = "It failed."}, out);
  EXPECT_TRUE(out.bytes().ends_with("\n{\"error\":\"It failed.\"}\n"));
}

TEST_F(OllamaTest, ModelsAreTheAgentsOwn) {
  const Json tags = [this] {
    Request request;
    request.identity.agent = "ann";
    return Json::parse(std::get<Response>(*list_models(gateway_, request)).body);
  }();
  ASSERT_EQ(tags["models"].size(), 3U);
  EXPECT_EQ(tags["models"][0]["name"], "m");
  EXPECT_EQ(tags["models"][0]["details"]["format"], "gguf");
  EXPECT_EQ(tags.dump().find("/models/"), std::string::npos);
  const Json shown = answer_of(show_model, R"({"name": "m:latest"})");
  EXPECT_EQ(shown["capabilities"], Json::array({"completion", "tools"}));
  EXPECT_EQ(shown.dump().find("/models/"), std::string::npos);
}

TEST(OllamaErrorTest, IsOneText) {
  const Response response = render_error(
      {.kind = ErrorKind::RateLimited, .message = "Slow down.", .retry_after_seconds = 3});
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.front().value, "3");
  EXPECT_EQ(response.body, R"({"error":"Slow down."})");
  Gateway gateway;
  const Handled handled = refuse_management(gateway, {});
  ASSERT_FALSE(handled.has_value());
  EXPECT_EQ(render_error(handled.error()).status, 501);
}

}  // namespace
}  // namespace symbiont::api::ollama
