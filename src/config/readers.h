#ifndef SYMBIONT_CONFIG_READERS_H_
#define SYMBIONT_CONFIG_READERS_H_

// One function per part of the schema; slm.cc puts them together.

#include <string>
#include <vector>

#include "symbiont/slm.h"

#include "config/table_reader.h"

namespace symbiont::config {

/// A name that refers to something defined elsewhere in the file; looked up once all of it is read.
struct Reference {
  std::string name;
  std::string key;
  Place at;
};

/// Where a model stands in the file, for checks that need more than the model.
struct ModelPlace {
  std::string key;
  Place id;
  Place min_memory;
  Place sandbox_profile;
};

struct References {
  Reference default_profile;             ///< name empty = not in the file
  std::vector<ModelPlace> models;        ///< parallel to global_models
  std::vector<Reference> mapped_models;  ///< items of agent_model_maps
};

void read_models(TableReader& lists, ModelAllowLists& into, References& references);
void read_agent_maps(TableReader& lists, ModelAllowLists& into, References& references);
void read_profiles(TableReader& slm, Slm& into);
void read_server(TableReader& root, ServerSettings& into);
void read_audit(TableReader& root, AuditSettings& into);

}  // namespace symbiont::config

#endif  // SYMBIONT_CONFIG_READERS_H_
