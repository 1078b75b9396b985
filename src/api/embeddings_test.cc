// Requests for embeddings of each API, and how the answers are said.

#include "api/openai/embeddings.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/embedding_fields.h"
#include "api/json.h"
#include "api/ollama/embed.h"

namespace symbiont::api {
namespace {

using Handler = Handled (*)(Gateway&, const Request&);

Handled call(Handler handler, const std::string& body) {
  static Engine engine(*ModelCatalog::create({}), {});
  Gateway gateway;
  gateway.engine = &engine;
  Request request;
  request.identity.agent = "ann";
  request.body = body;
  return handler(gateway, request);
}

Plan plan_of(Handler handler, const std::string& body) {
  Handled handled = call(handler, body);
  EXPECT_TRUE(handled.has_value()) << body << ": " << handled.error().message;
  if (!handled.has_value()) return {};
  return std::get<Plan>(std::move(*handled));
}

Response answer_of(Plan plan) {
  ExecutionResult result;
  result.embeddings = {{1.0F, 0.0F}, {0.0F, -0.5F}};
  result.metadata.usage.prompt_tokens = 7;
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_end(0, result, out);
  plan.writer->finish(out);
  EXPECT_FALSE(out.is_stream());
  return std::move(out.response());
}

TEST(OpenAiEmbeddingsTest, AreOneExecutionOfAllInputs) {
  const Plan plan =
      plan_of(openai::create_embeddings, R"({"model": "m", "input": ["a", "b"], "user": "u"})");
  ASSERT_EQ(plan.executions.size(), 1U);
  EXPECT_FALSE(plan.streams);
  const EngineRequest& execution = plan.executions[0];
  EXPECT_EQ(execution.agent, "ann");
  EXPECT_EQ(execution.model_id, "m");
  EXPECT_TRUE(execution.options.embed);
  EXPECT_FALSE(execution.options.truncate);
  EXPECT_EQ(execution.messages, (std::vector<ChatMessage>{{"user", "a"}, {"user", "b"}}));
  EXPECT_EQ(plan_of(openai::create_embeddings, R"({"model": "m", "input": "a"})")
                .executions[0]
                .messages.size(),
            1U);
}

TEST(OpenAiEmbeddingsTest, AnAnswerHasEachInItsPlace) {
  const Response response =
      answer_of(plan_of(openai::create_embeddings, R"({"model": "m", "input": ["a", "b"]})"));
  EXPECT_EQ(Json::parse(response.body), Json::parse(R"({"object": "list", "data": [
    {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]},
    {"object": "embedding", "index": 1, "embedding": [0.0, -0.5]}],
    "model": "m", "usage": {"prompt_tokens": 7, "total_tokens": 7}})"));
}

TEST(OpenAiEmbeddingsTest, Base64HoldsLittleEndianFloats) {
  const Response response = answer_of(plan_of(
      openai::create_embeddings,
      R"({"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 2})"));
  const Json data = Json::parse(response.body)["data"];
  EXPECT_EQ(data[0]["embedding"], "AACAPwAAAAA=");
  EXPECT_EQ(data[1]["embedding"], "AAAAAAAAAL8=");
}

TEST(OpenAiEmbeddingsTest, OtherDimensionsThanTheModelsAreRefused) {
  const Response response = answer_of(plan_of(
      openai::create_embeddings, R"({"model": "m", "input": ["a", "b"], "dimensions": 3})"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Json::parse(response.body)["error"]["param"], "dimensions");
}

std::string many_inputs(std::size_t count) {
  Json body = {{"model", "m"}, {"input", std::vector<std::string>(count, "x")}};
  return dump(body);
}

TEST(OpenAiEmbeddingsTest, EveryMistakeIsNamed) {
  for (const auto& [body, param] : std::initializer_list<std::pair<std::string, const char*>>{
           {R"({"input": "x"})", "model"},
           {R"({"model": "m"})", "input"},
           {R"({"model": "m", "input": ""})", "input"},
           {R"({"model": "m", "input": []})", "input"},
           {R"({"model": "m", "input": ["x", ""]})", "input"},
           {R"({"model": "m", "input": [1, 2]})", "input"},
           {R"({"model": "m", "input": [[1, 2], [3]]})", "input"},
           {R"({"model": "m", "input": {"text": "x"}})", "input"},
           {many_inputs(kMaxEmbeddingInputs + 1), "input"},
           {R"({"model": "m", "input": "x", "encoding_format": "int8"})", "encoding_format"},
           {R"({"model": "m", "input": "x", "dimensions": 0})", "dimensions"},
           {R"({"model": "m", "input": "x", "stream": true})", "stream"}}) {
    const Handled handled = call(openai::create_embeddings, body);
    ASSERT_FALSE(handled.has_value()) << body.substr(0, 100);
    EXPECT_EQ(handled.error().param, param) << body.substr(0, 100);
    EXPECT_EQ(status_of(handled.error().kind), 400);
  }
  const Handled tokens = call(openai::create_embeddings, R"({"model": "m", "input": [[1]]})");
  EXPECT_NE(tokens.error().message.find("token ids are not supported"), std::string::npos);
  EXPECT_TRUE(call(openai::create_embeddings, many_inputs(kMaxEmbeddingInputs)).has_value());
}

TEST(OllamaEmbedTest, ShortensUnlessToldNotTo) {
  const Plan plan = plan_of(ollama::embed, R"({"model": "m:latest", "input": "a",
    "keep_alive": "5m", "options": {"num_ctx": 512}})");
  EXPECT_EQ(plan.executions[0].model_id, "m");
  EXPECT_TRUE(plan.executions[0].options.embed);
  EXPECT_TRUE(plan.executions[0].options.truncate);
  EXPECT_FALSE(plan_of(ollama::embed, R"({"model": "m", "input": ["a"], "truncate": false})")
                   .executions[0]
                   .options.truncate);
}

TEST(OllamaEmbedTest, AnswersWithAllOrWithOne) {
  const Json all = Json::parse(
      answer_of(plan_of(ollama::embed, R"({"model": "m:latest", "input": ["a", "b"]})")).body);
  EXPECT_EQ(all["model"], "m:latest");
  EXPECT_EQ(all["embeddings"], Json::parse("[[1.0, 0.0], [0.0, -0.5]]"));
  EXPECT_EQ(all["prompt_eval_count"], 7);
  const Json one =
      Json::parse(answer_of(plan_of(ollama::embed_one, R"({"model": "m", "prompt": "a"})")).body);
  EXPECT_EQ(one, Json::parse(R"({"embedding": [1.0, 0.0]})"));
}

TEST(OllamaEmbedTest, EveryMistakeIsNamed) {
  for (const auto& [handler, body, param] :
       std::initializer_list<std::tuple<Handler, const char*, const char*>>{
           {ollama::embed, R"({"model": "m"})", "input"},
           {ollama::embed, R"({"model": "m", "input": ""})", "input"},
           {ollama::embed, R"({"model": "m", "input": [1]})", "input"},
           {ollama::embed, R"({"model": "m", "input": "x", "dimensions": 3})", "dimensions"},
           {ollama::embed, R"({"model": "m", "input": "x", "options": {"seed": 1}})",
            "options.seed"},
           {ollama::embed_one, R"({"model": "m", "input": "x"})", "prompt"},
           {ollama::embed_one, R"({"model": "m", "prompt": ["x"]})", "prompt"},
           {ollama::embed_one, R"({"model": "m", "prompt": "x", "truncate": true})", "truncate"}}) {
    const Handled handled = call(handler, body);
    ASSERT_FALSE(handled.has_value()) << body;
    EXPECT_EQ(handled.error().param, param) << body;
  }
}

}  // namespace
}  // namespace symbiont::api
