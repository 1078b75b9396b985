#ifndef SYMBIONT_SYMBIONT_H_
#define SYMBIONT_SYMBIONT_H_

// Start here. Runs small language models for many agents, each execution inside a sandbox the
// kernel enforces.
//
//   Slm (slm.h)                    a configuration, read from TOML or built in code
//   ModelCatalog (catalog.h)       which models exist and who may use them
//   SandboxProfile                 what an execution may use and touch
//   SlmRunner (runner.h)           answers prompts; LocalGgufRunner runs a GGUF file, confined;
//                                  ProcessRunner any engine that speaks a small protocol
//   Engine (engine.h)              all of it in one call: access check, runner, execution, observer
//   SandboxedProgram (sandbox.h)   any program under a profile
//   ExecutionResult, Verdict       what came of it, with every figure
//
// Calls that can fail return std::expected; nothing throws. The shortest program is
// examples/seed_usage_1_run.cc.

#include "symbiont/capability.h"
#include "symbiont/catalog.h"
#include "symbiont/catalog_error.h"
#include "symbiont/engine.h"
#include "symbiont/execution.h"
#include "symbiont/local_gguf_runner.h"
#include "symbiont/model.h"
#include "symbiont/observer.h"
#include "symbiont/process_runner.h"
#include "symbiont/runner.h"
#include "symbiont/runner_error.h"
#include "symbiont/sandbox.h"
#include "symbiont/sandbox_host.h"
#include "symbiont/sandbox_profile.h"
#include "symbiont/slm.h"
#include "symbiont/verdict.h"
#include "symbiont/version.h"

#endif  // SYMBIONT_SYMBIONT_H_
