#include "observe/metrics.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont::observe {
namespace {

using ::testing::HasSubstr;

ExecutionMetadata metadata_of(const std::string& agent) {
  ExecutionMetadata metadata;
  metadata.agent = agent;
  metadata.model_id = "m\"1";
  metadata.usage = {.prompt_tokens = 10, .completion_tokens = 5, .cached_tokens = 4};
  metadata.timing.total_ms = 200;
  metadata.timing.first_token_ms = 30;
  metadata.timing.decode_ms = 40;
  return metadata;
}

TEST(MetricsTest, CountsExecutionsAndTokens) {
  Metrics metrics;
  EXPECT_TRUE(metrics.on_finished(metadata_of("ann"), nullptr));
  EXPECT_TRUE(metrics.on_finished(metadata_of("ann"), nullptr));
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("# TYPE symbiont_executions_total counter\n"
                              "symbiont_executions_total{agent=\"ann\",model=\"m\\\"1\","
                              "outcome=\"ok\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("kind=\"completion\"} 10\n"));
  EXPECT_THAT(text, HasSubstr("symbiont_execution_seconds_bucket{agent=\"ann\",model=\"m\\\"1\","
                              "le=\"0.25\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("le=\"0.1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("symbiont_inter_token_latency_seconds_sum{agent=\"ann\","
                              "model=\"m\\\"1\"} 0.02\n"));
}

TEST(MetricsTest, NamesTheLimitThatKilled) {
  Metrics metrics;
  ExecutionMetadata metadata = metadata_of("ann");
  metadata.verdict.kind = VerdictKind::MemoryLimit;
  const SlmRunnerError error(runner_error::ResourceLimitExceeded{"memory", 1, 2});
  EXPECT_TRUE(metrics.on_finished(metadata, &error));
  EXPECT_THAT(metrics.text(), HasSubstr("limit=\"memory\"} 1\n"));
  EXPECT_THAT(metrics.text(), HasSubstr("outcome=\"ResourceLimitExceeded\"} 1\n"));
}

TEST(MetricsTest, CountsRestartsOfWorkers) {
  Metrics metrics;
  metrics.on_worker_restart("ann", "m");
  metrics.on_worker_restart("ann", "m");
  EXPECT_THAT(metrics.text(),
              HasSubstr("symbiont_worker_restarts_total{agent=\"ann\",model=\"m\"} 2\n"));
}

TEST(MetricsTest, WhatACallerMadeUpIsNoLabel) {
  Metrics metrics;
  const ModelCatalogError denied(ModelCatalogError::ModelNotFound{"made-up", ""});
  EXPECT_TRUE(
      metrics.on_access({.agent = "eve", .model_id = "made-up", .profile = "", .denied = &denied}));
  EXPECT_THAT(metrics.text(), HasSubstr("symbiont_denied_total{reason=\"model_not_found\"} 1\n"));
  EXPECT_EQ(metrics.text().find("made-up"), std::string::npos);
}

TEST(MetricsTest, LabelsAreBounded) {
  Metrics metrics;
  for (std::size_t i = 0; i < kMaxLabelSets + 5; ++i)
    EXPECT_TRUE(metrics.on_finished(metadata_of("agent" + std::to_string(i)), nullptr));
  EXPECT_THAT(metrics.text(), HasSubstr("agent=\"other\",model=\"other\",outcome=\"ok\"} 5\n"));
}

}  // namespace
}  // namespace symbiont::observe
